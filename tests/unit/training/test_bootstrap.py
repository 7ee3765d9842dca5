"""Standard errors and paired differences."""

import numpy as np
import pytest

from services.training.evaluation.bootstrap import draws, measure
from services.training.evaluation.probability import mean


def test_the_standard_error_of_a_mean_is_the_textbook_one():
    values = np.random.default_rng(0).normal(size=400)
    scores = measure({"mean": mean(values)}, draws(400, 500, seed=1))
    expected = values.std() / np.sqrt(400)
    assert scores.estimate("mean").standard_error == pytest.approx(expected, rel=0.1)
    assert scores.estimate("mean").value == pytest.approx(values.mean())


def test_every_sample_draws_as_many_users_as_there_are():
    assert (draws(7, 5, seed=0).sum(axis=1) == 7).all()


def test_pairing_takes_out_what_two_models_share():
    values = np.random.default_rng(0).normal(size=400)
    sampled = draws(400, 200, seed=1)
    one = measure({"m": mean(values + 1.0)}, sampled)
    other = measure({"m": mean(values)}, sampled)
    difference = one.minus(other, "m")
    assert difference.value == pytest.approx(1.0)
    assert difference.standard_error == pytest.approx(0.0, abs=1e-9)
    assert (difference.low, difference.high) == pytest.approx((1.0, 1.0))


def test_a_metric_that_some_samples_cannot_define_is_estimated_from_the_others():
    def sometimes(weights):
        return float("nan") if weights[0] == 0 else float(weights[0])

    scores = measure({"m": sometimes}, draws(5, 50, seed=0))
    assert np.isfinite(scores.estimate("m").standard_error)
