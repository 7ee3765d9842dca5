"""Calibration finds the correction behind made-up data."""

import numpy as np
import pytest

from services.training.runs.calibration import fit_level, fit_platt, fit_segments, fit_spend_factor


def test_platt_finds_the_slope_and_intercept_behind_the_data():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=20_000) * 2
    active = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * logits + 1.0)))
    slope, intercept = fit_platt(logits, active, np.ones(20_000))
    assert (slope, intercept) == pytest.approx((0.5, 1.0), abs=0.05)


def test_platt_makes_the_mean_probability_the_weighted_rate():
    rng = np.random.default_rng(1)
    logits, active = rng.normal(size=500), rng.random(500) < 0.2
    weights = rng.random(500)
    slope, intercept = fit_platt(logits, active, weights)
    chances = 1 / (1 + np.exp(-(slope * logits + intercept)))
    expected = np.average(active, weights=weights)
    assert np.average(chances, weights=weights) == pytest.approx(expected, abs=1e-3)


def test_platt_on_one_kind_only_stays_finite_and_keeps_the_order():
    slope, intercept = fit_platt(np.arange(5.0), np.ones(5, bool), np.ones(5))
    assert slope > 0
    assert np.isfinite(intercept)


def test_the_spend_factor_makes_totals_equal_within_its_limits():
    expected = np.array([1.0, 3.0])
    assert fit_spend_factor(expected, np.array([4.0, 4.0]), np.ones(2)) == pytest.approx(2.0)
    assert fit_spend_factor(expected, np.array([400.0, 4.0]), np.ones(2)) == pytest.approx(3.0)
    assert fit_spend_factor(np.zeros(2), np.ones(2), np.ones(2)) == 1.0


def test_segment_shares_become_right_on_average():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3))
    truth = 0.5 * logits + np.array([1.0, 0.0, -1.0])
    chances = np.exp(truth) / np.exp(truth).sum(axis=1, keepdims=True)
    classes = np.array([rng.choice(3, p=row) for row in chances])
    sharpness, shift = fit_segments(logits, classes, np.ones(4000))
    assert sharpness == pytest.approx(0.5, abs=0.08)
    assert shift == pytest.approx([1.0, 0.0, -1.0], abs=0.12)


def test_no_active_rows_leave_segments_as_they_are():
    sharpness, shift = fit_segments(np.zeros((0, 3)), np.zeros(0, int), np.zeros(0))
    assert (sharpness, shift.tolist()) == (1.0, [0.0, 0.0, 0.0])


def test_the_level_of_a_model_without_labels_moves_the_more_the_more_windows_there_are():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=50_000)
    active = rng.random(50_000) < 1 / (1 + np.exp(-(logits + 1.0)))
    weights = np.ones(50_000)
    assert fit_level(logits, active, weights, 1.0) == pytest.approx(0.2, abs=0.01)
    assert fit_level(logits, active, weights, 4.0) == pytest.approx(0.5, abs=0.02)
    assert fit_level(logits, active, weights, 1e9) == pytest.approx(1.0, abs=0.04)
