"""Groups of two fits are paired by what they share."""

import numpy as np
import pytest

from pipelines.segments.matching import LEAST_OVERLAP, likeness, matched, overlap


def test_overlap_is_what_two_groups_share_of_both():
    old = np.array([0, 0, 0, 1, 1, 2])
    new = np.array([1, 1, 0, 0, 0, 2])
    shares = overlap(old, new, 3, 3)
    assert shares[0, 1] == pytest.approx(2 / 3)
    assert shares[0, 0] == pytest.approx(1 / 5)
    assert shares[1, 0] == pytest.approx(2 / 3)
    assert shares[2].tolist() == [0, 0, 1]


def test_a_group_that_nobody_is_in_shares_nothing():
    assert overlap(np.array([0, 0]), np.array([1, 1]), 2, 2).tolist() == [[0, 1], [0, 0]]


def test_all_pairs_together_are_most_alike_not_each_by_itself():
    assert matched(np.array([[0.9, 0.8], [0.8, 0.1]]), 0.25) == {1: 0, 0: 1}


def test_pairs_that_share_too_little_are_none():
    shares = np.array([[0.9, 0.0, 0.1], [0.0, LEAST_OVERLAP - 0.01, 0.0]])
    assert matched(shares, LEAST_OVERLAP) == {0: 0}


def test_a_group_that_splits_keeps_its_larger_half():
    old = np.zeros(10, int)
    new = np.array([0] * 4 + [1] * 6)
    assert matched(overlap(old, new, 1, 2), LEAST_OVERLAP) == {1: 0}


def test_groups_that_stand_alike_are_alike():
    alike = likeness(np.array([[0.2, 0.8]]), np.array([[0.2, 0.8], [0.8, 0.2]]))
    assert alike.tolist() == [[1.0, pytest.approx(0.4)]]
