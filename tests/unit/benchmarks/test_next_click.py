"""The benchmark of next clicks: which sessions an earlier look holds, and what its table says."""

import pyarrow as pa
import pytest

from benchmarks.next_click import METRICS, EarlierSessions, table
from tests.support.visits import Visits


def test_an_earlier_look_holds_the_first_sessions_whole():
    rows = pa.table({"visit": [4, 4, 9, 9, 9, 2], "step": [0, 1, 0, 1, 2, 0]})
    kept, judged = EarlierSessions(Visits(rows), "visit", 0.7).read()
    assert kept["visit"].to_pylist() == [4, 4, 9, 9, 9]
    assert judged == 0


@pytest.mark.parametrize("metric", METRICS)
def test_the_table_shows_every_seed_beside_the_best_rule_and_the_interval(metric):
    def value(number):
        return {each: {"value": number, "se": 0.01} for each in METRICS}

    gap = {"baseline": "own_then_markov", "difference": 0.1, "low": 0.05, "high": 0.15}
    found = {
        "oriel": [value(0.5), value(0.4)],
        "rules": {"own_then_markov": value(0.3)},
        "best_rules": dict.fromkeys(METRICS, gap),
    }
    line = f"| {METRICS[metric]} | 0.500, 0.400 | 0.300 (own then markov) | +0.100 "
    assert f"{line}(+0.050 to +0.150) |" in table(found)
