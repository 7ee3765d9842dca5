"""Who changed segments adds up, and every customer has a row."""

import csv
import io

import numpy as np
import pytest

from pipelines.segments.discovered import COLUMNS, UNKNOWN, Discovered, Map, segments_csv
from pipelines.segments.maps import MAPPED, map_of
from pipelines.segments.profiles import profiles_of
from tests.unit.segments.groups import facts_of, kinds_of, points_of

NAMES = {0: "Not ordered yet", 2: "Frequent big baskets", 5: "Lapsed buyers"}
SEGMENT = np.array([2, 2, 5, 5, 5, 0, 2, 0])
PREVIOUS = np.array([2, 5, 5, 0, 2, 0, UNKNOWN, UNKNOWN])


@pytest.fixture(scope="module")
def found():
    kinds = kinds_of({"loyal": 3, "gone": 3})
    profiles = profiles_of(
        facts_of(kinds), np.array([0] * 3 + [1] * 3), 2, lambda name, value: name
    )
    return Discovered(
        names=NAMES,
        profiles={2: profiles[0], 5: profiles[1]},
        user_keys=np.arange(8, dtype=np.uint64) + 10,
        segment=SEGMENT,
        previous=PREVIOUS,
        period_days=90,
        map=Map((0.0,), (1.0,), (2,), 0.5),
        appeared=(),
        gone=("Old",),
    )


def test_migration_counts_every_customer_known_at_both_times(found):
    before, now, counts = found.migration()
    assert (before, now) == ((2, 5, 0), (2, 5, 0))
    assert counts.tolist() == [[1, 1, 0], [1, 1, 0], [0, 1, 1]]
    assert counts.sum() == (PREVIOUS != UNKNOWN).sum()
    for place, number in enumerate(before):
        assert counts[place].sum() == (number == PREVIOUS).sum()


def test_the_summary_says_how_many_stayed(found):
    told = found.summary()
    assert (told["known_in_both_periods"], told["stayed"]) == (6, 3)
    assert [each["segment"] for each in told["segments"]] == [2, 5]
    assert told["gone"] == ["Old"]


def test_every_customer_has_a_row_in_the_order_of_ids(found):
    ids = {key: f"c{20 - key:02d}" for key in range(10, 18)}
    rows = list(csv.DictReader(io.StringIO(segments_csv(found, ids).decode())))
    assert tuple(rows[0]) == COLUMNS
    assert [row["user"] for row in rows] == sorted(ids.values())
    by_user = {row["user"]: row for row in rows}
    for key, now, was in zip(range(10, 18), SEGMENT, PREVIOUS, strict=True):
        row = by_user[ids[key]]
        assert (row["segment"], row["name"]) == (str(now), NAMES[now])
        assert row["previous"] == ("" if was == UNKNOWN else str(was))


def test_a_map_holds_a_spread_of_customers_whatever_their_order():
    kinds = kinds_of({"loyal": 900, "gone": 700})
    points, segment = points_of(kinds), np.where(kinds == "loyal", 2, 5)
    drawn = map_of(points, segment)
    assert len(drawn.x) == len(drawn.y) == len(drawn.segment) == MAPPED
    assert drawn.segment.count(2) == pytest.approx(MAPPED * 900 / 1600, abs=2)
    assert 0.5 < drawn.kept_share <= 1
    turned = np.random.default_rng(0).permutation(len(points))
    assert map_of(points[turned], segment[turned]) == drawn


def test_groups_that_lie_apart_lie_apart_on_the_map():
    kinds = kinds_of({"loyal": 50, "gone": 50})
    drawn = map_of(points_of(kinds), np.where(kinds == "loyal", 2, 5))
    x, segment = np.array(drawn.x), np.array(drawn.segment)
    assert (x[segment == 2].max() < x[segment == 5].min()) or (
        x[segment == 5].max() < x[segment == 2].min()
    )
