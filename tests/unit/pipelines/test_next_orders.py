"""The file of when customers order next."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from pipelines.next_orders import days_reached, earlier_orders, moved, next_orders_of
from pipelines.next_orders_csv import COLUMNS, next_orders_csv
from tests.unit.training.test_waits import reader_of, waiting

WHY = (
    '[{"feature":"a","text":"ordered 3 days ago","contribution":1.5},'
    '{"feature":"b","text":"=spends less","contribution":-0.5}]'
)
STEADY = [place / 20 for place in range(1, 13)]


def csv_of(active, shown):
    table = pa.table(
        {
            "user_key": [2, 1],
            "eligible": [True, False],
            "chances": [STEADY, [0.01] * 12],
            "reasons": [WHY, "[]"],
        }
    )
    predictions = pa.table({"user_key": list(active), "active_probability": list(active.values())})
    return next_orders_csv(next_orders_of(table, predictions), shown).decode().splitlines()


def test_rows_are_ordered_by_the_id_shown_and_later_days_stay_blank():
    assert csv_of({1: 0.01, 2: 0.6}, {1: "zoe", 2: "ana"}) == [
        ",".join(COLUMNS),
        "ana,75.0,15.0,,0.200000,0.400000,0.600000,true,ordered 3 days ago,'=spends less",
        "zoe,,,,0.010000,0.010000,0.010000,false,,",
    ]


def test_the_last_probability_is_the_main_jobs_and_the_others_follow_it():
    (row,) = [line for line in csv_of({1: 0.2, 2: 0.8}, {1: "a", 2: "b"}) if line.startswith("b")]
    _, days, low, high, first, second, third, *_ = row.split(",")
    assert third == "0.800000"
    assert 0.2 < float(first) < float(second) < 0.8
    assert float(low) < float(days) < 75.0
    assert high == ""


def test_a_customer_who_is_not_shown_is_left_out():
    assert len(csv_of({1: 0.2, 2: 0.8}, {1: "zoe"})) == 2
    assert csv_of({}, {1: "zoe"}) == [",".join(COLUMNS)]


def test_days_and_chances_go_back_and_forth():
    chances = moved(np.array([STEADY]), np.array([0.6]))
    np.testing.assert_allclose(chances[0], STEADY, atol=1e-9)
    assert days_reached(chances, 0.05).tolist() == [7.5]
    assert np.isnan(days_reached(chances, 0.7)).all()


def test_what_came_after_an_earlier_instant_is_counted_by_week(tmp_path):
    rows = waiting()
    reader = reader_of(tmp_path / "a", rows)
    instant = reader.manifest.as_ofs[1]
    found = earlier_orders(reader, instant + timedelta(days=3))
    at = rows.eligible & (rows.as_ofs == np.datetime64(instant.replace(tzinfo=None), "ms"))
    days = rows.wait_days[at]
    assert (found.start_time, found.customer_count) == (instant, at.sum())
    assert found.by_week[0] == (days < 7).sum()
    assert found.by_week[1] == ((days >= 7) & (days < 14)).sum()
    assert earlier_orders(reader, datetime(2019, 1, 1, tzinfo=UTC)) is None
