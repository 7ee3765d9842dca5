"""Grouping, weighing and thinning of rows."""

import numpy as np
import pytest

from services.training.runs.members import base_rates
from services.training.runs.rows import DAY, Rows, ages_weight, groups, thin


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


def test_base_rates_come_from_users_the_question_does_not_fit_once_there_are_many():
    eligible = np.arange(1200) < 200
    spend = np.where(eligible, 100.0, np.where(np.arange(1200) % 10 == 0, 30.0, 0.0))
    keys = np.arange(1200, dtype=np.uint64)
    rows = Rows(keys, np.zeros(1200, np.int64), eligible, np.zeros((1200, 1), np.float32), spend)
    base = base_rates(rows, (20.0, 60.0), 60.0)
    assert base.active == pytest.approx((100 + 20) / 1020)
    assert base.spend == pytest.approx((3000 + 2000) / 1020)
    few = base_rates(rows.where(eligible), (20.0, 60.0), 60.0)
    assert few.active == pytest.approx(1.0)
    assert few.segments.sum() == pytest.approx(1.0)
