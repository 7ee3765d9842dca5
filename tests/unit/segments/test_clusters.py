"""Groups are as many as come out again without some customers, and stay what they were."""

import numpy as np
import pytest

from pipelines.segments.clusters import MOST, agreement, best_count, centres_of, nearest
from tests.unit.segments.groups import KINDS, kinds_of, points_of

SIZES = dict.fromkeys(KINDS, 80)


def grouped(points, before=None):
    return nearest(points, centres_of(points, before))


def same_groups(one, other):
    """Whether two groupings differ in nothing but the numbers of the groups."""
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


def test_planted_groups_are_found_and_counted():
    kinds = kinds_of(SIZES)
    points = points_of(kinds)
    assert best_count(points) == len(KINDS)
    assert same_groups(grouped(points), kinds)


def test_the_order_of_customers_has_no_say():
    points = points_of(kinds_of(SIZES), spread=2.5)
    turned = np.random.default_rng(1).permutation(len(points))
    np.testing.assert_array_equal(centres_of(points), centres_of(points[turned]))


def test_planted_groups_come_out_again_and_noise_does_not():
    assert agreement(points_of(kinds_of(SIZES)), len(KINDS)) == pytest.approx(1.0)
    noise = np.random.default_rng(2).standard_normal((400, 16))
    assert agreement(noise, MOST) < 0.5


def test_groups_as_good_as_the_best_stay_what_they_were():
    rng = np.random.default_rng(3)
    points = rng.normal(0, 1, (1200, 2))
    points[:, 0] += np.repeat([0, 5, 10, 15], 300)
    first = grouped(points)
    moved = points + rng.normal(0, 0.2, points.shape)
    again = grouped(moved, first)
    assert (again == first).mean() > 0.97


def test_a_group_before_that_lost_its_customers_is_not_kept():
    kinds = kinds_of({"loyal": 80, "fresh": 80, "gone": 80})
    before = np.where(kinds == "gone", 2, np.where(kinds == "fresh", 1, 0))
    before[:3] = 3
    assert len(np.unique(grouped(points_of(kinds), before))) == 3


def test_points_are_put_to_the_nearest_centre_in_blocks_as_at_once(monkeypatch):
    points, centres = np.random.default_rng(4).random((2, 50, 3))
    at_once = nearest(points, centres[:5])
    monkeypatch.setattr("pipelines.segments.clusters._BLOCK", 7)
    np.testing.assert_array_equal(nearest(points, centres[:5]), at_once)
