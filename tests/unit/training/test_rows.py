"""Grouping, weighing and thinning of rows."""

import numpy as np
import pytest

from services.training.runs.rows import DAY, ages_weight, groups, thin


def test_all_rows_of_a_user_are_in_one_group_and_groups_are_even():
    keys = np.repeat(np.arange(5000, dtype=np.uint64), 2)
    found = groups(keys, 5)
    assert (found[::2] == found[1::2]).all()
    assert np.bincount(found) == pytest.approx(np.full(5, 2000), rel=0.1)


def test_a_row_counts_half_after_each_half_life():
    as_ofs = np.array([0, 60, 120]) * DAY
    assert ages_weight(as_ofs, 60.0).tolist() == [0.25, 0.5, 1.0]
    assert ages_weight(as_ofs, 0.0).tolist() == [1.0, 1.0, 1.0]


def test_thinning_keeps_weighted_totals_and_prefers_heavy_rows():
    rng = np.random.default_rng(0)
    weights = np.where(np.arange(20_000) % 2 == 0, 1.0, 0.1).astype(np.float32)
    values, keys = rng.normal(1.0, 1.0, 20_000), rng.integers(0, 2**60, 20_000, dtype=np.uint64)
    kept, kept_weights = thin(weights, keys, 5_000)
    assert len(kept) == pytest.approx(5_000, rel=0.05)
    assert (kept % 2 == 0).mean() > 0.85
    whole = np.average(values, weights=weights)
    assert np.average(values[kept], weights=kept_weights) == pytest.approx(whole, abs=0.05)
    assert kept_weights.sum() == pytest.approx(weights.sum(), rel=0.05)


def test_few_rows_are_left_alone():
    weights = np.array([0.5, 1.0], np.float32)
    kept, same = thin(weights, np.array([1, 2], np.uint64), 10)
    assert kept.tolist() == [0, 1]
    assert same.tolist() == weights.tolist()
