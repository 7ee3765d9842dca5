"""Measures of intervals, by hand."""

import numpy as np
import pytest

from services.training.evaluation.intervals import Intervals, cell_intervals, interval_metrics
from services.training.evaluation.probability import decile_error

SPEND = np.array([0.0, 5.0, 20.0])
SAID = Intervals(np.array([0.0, 6.0, 0.0]), np.array([4.0, 10.0, 10.0]))


def test_coverage_counts_all_and_those_who_spent():
    metrics = interval_metrics(SPEND, SAID)
    assert metrics["coverage"](np.ones(3)) == pytest.approx(1 / 3)
    assert metrics["coverage_of_buyers"](np.ones(3)) == 0.0
    assert metrics["coverage"](np.array([2.0, 1.0, 1.0])) == 0.5


def test_the_score_is_the_width_and_twenty_times_what_lies_outside():
    score = interval_metrics(SPEND, SAID)["interval_score"](np.ones(3))
    assert score == pytest.approx((4.0 + (4.0 + 20.0) + (10.0 + 200.0)) / 3)


def test_cells_give_the_quantiles_of_alike_users():
    known = np.array([[1.0, 1.0]] * 100 + [[300.0, 9.0]] * 100)
    spend = np.concatenate([np.arange(100.0), 1000.0 + np.arange(100.0)])
    said = cell_intervals(known, spend, np.array([[1.0, 1.0], [300.0, 9.0]]))
    assert said.low == pytest.approx([4.95, 1004.95])
    assert said.high == pytest.approx([94.05, 1094.05])


def test_the_decile_error_compares_totals_of_tenths():
    actual = np.arange(1.0, 21.0)
    assert decile_error(actual, actual * 1.25)(np.ones(20)) == pytest.approx(0.25)
    assert np.isnan(decile_error(np.zeros(20), actual)(np.ones(20)))
