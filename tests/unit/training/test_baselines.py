"""The baselines are fitted properly."""

import numpy as np
import pytest

from services.training.evaluation.baselines import (
    STRENGTHS,
    Split,
    earlier_window,
    fit_logistic,
    fit_recency,
    recency_scores,
)


def test_logistic_regression_finds_the_coefficients_behind_the_data():
    rng = np.random.default_rng(0)
    scaled = rng.normal(size=(4000, 2))
    active = rng.random(4000) < 1 / (1 + np.exp(-(scaled[:, 0] * 1.5 - 0.5)))
    halves = np.arange(4000) % 2 == 0
    fitted = fit_logistic(scaled, active, [Split(halves, ~halves)])
    assert fitted.coefficients == pytest.approx([1.5, 0.0], abs=0.15)
    assert fitted.intercept == pytest.approx(-0.5, abs=0.1)


def test_pure_noise_is_met_with_the_strongest_regularisation():
    rng = np.random.default_rng(0)
    scaled, active = rng.normal(size=(300, 20)), rng.random(300) < 0.5
    halves = np.arange(300) % 2 == 0
    assert fit_logistic(scaled, active, [Split(halves, ~halves)]).strength <= STRENGTHS[1]


def test_one_kind_only_gives_its_rate():
    fitted = fit_logistic(np.zeros((5, 2)), np.ones(5, bool), [])
    assert fitted.probabilities(np.zeros((1, 2)))[0] > 0.99


def test_the_earlier_window_leaves_no_overlap_with_the_labels_it_judges():
    as_ofs = np.repeat(np.array([0, 30, 60, 90]), 300)
    split = earlier_window(as_ofs, 60)
    assert set(as_ofs[split.judge]) == {90}
    assert set(as_ofs[split.fit]) == {0, 30}


def test_history_too_short_for_an_earlier_window_says_so():
    assert earlier_window(np.repeat(np.array([0, 30]), 300), 60) is None


def test_the_recency_rule_ranks_by_recency_and_missing_comes_last():
    scores = recency_scores(np.array([5.0, 1.0, np.nan], np.float32))
    assert list(np.argsort(-scores)) == [1, 0, 2]


def test_recency_gets_a_falling_probability():
    rng = np.random.default_rng(0)
    days = rng.integers(0, 300, 2000).astype(float)
    active = rng.random(2000) < np.exp(-days / 100)
    chances = fit_recency(days, active).probabilities(np.array([1.0, 30.0, 250.0]))
    assert chances[0] > chances[1] > chances[2]
