"""Customer-base models find what made the data, and say what the papers say."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import hyp2f1

from services.training.customer_base import (
    BgNbd,
    GammaGamma,
    Histories,
    fit_bg_nbd,
    fit_gamma_gamma,
)
from shared.errors import FailedPreconditionError, InvalidArgumentError

PUBLISHED = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)
PUBLISHED_VALUES = GammaGamma(p=6.25, q=3.74, gamma=15.44)
WEEKS = 39.0


def simulate(model, values, ages, seed=0):
    """Orders of customers who are as the models say: histories, and orders in `WEEKS` ahead."""
    rng = np.random.default_rng(seed)
    count = len(ages)
    rates = rng.gamma(model.r, 1 / model.alpha, count)
    chances = rng.beta(model.a, model.b, count)
    repeats, recency, later = np.zeros(count), np.zeros(count), np.zeros(count)
    clock, is_active = np.zeros(count), np.ones(count, bool)
    while is_active.any():
        clock[is_active] += rng.exponential(1 / rates[is_active])
        is_active &= clock < ages + WEEKS
        is_seen = is_active & (clock < ages)
        repeats[is_seen] += 1
        recency[is_seen] = clock[is_seen]
        later[is_active & ~is_seen] += 1
        is_active[is_active] = rng.random(is_active.sum()) > chances[is_active]
    scales = rng.gamma(values.q, 1 / values.gamma, count)
    orders = np.maximum(repeats, 1)
    value = rng.gamma(values.p * orders, 1 / scales) / orders
    return Histories(repeats, recency, ages, value), later


@cache
def base():
    ages = np.random.default_rng(1).uniform(27, 39, 30_000)
    return simulate(PUBLISHED, PUBLISHED_VALUES, ages)


def columns(histories):
    return [jnp.asarray(c) for c in (histories.repeats, histories.recency, histories.age)]


def test_fit_finds_the_parameters_that_made_the_orders():
    histories, _ = base()
    found = fit_bg_nbd(histories)
    assert found.r == pytest.approx(PUBLISHED.r, rel=0.05)
    assert found.alpha == pytest.approx(PUBLISHED.alpha, rel=0.08)
    assert found.a / (found.a + found.b) == pytest.approx(0.793 / 3.219, rel=0.05)


def test_fit_finds_the_parameters_that_made_the_values():
    histories, _ = base()
    found = fit_gamma_gamma(histories)
    assert found.p == pytest.approx(PUBLISHED_VALUES.p, rel=0.15)
    assert found.q == pytest.approx(PUBLISHED_VALUES.q, rel=0.1)
    mean = found.p * found.gamma / (found.q - 1)
    assert mean == pytest.approx(6.25 * 15.44 / 2.74, rel=0.03)


def test_the_unit_of_time_changes_only_the_unit_of_the_rate():
    histories, _ = base()
    weeks = Histories(*(np.asarray(c)[:3000] for c in columns(histories)))
    days = Histories(weeks.repeats, weeks.recency * 7, weeks.age * 7)
    by_week, by_day = fit_bg_nbd(weeks), fit_bg_nbd(days)
    assert by_day.alpha == pytest.approx(7 * by_week.alpha, rel=1e-5)
    assert by_day.r == pytest.approx(by_week.r, rel=1e-5)


def test_expected_orders_are_those_of_the_paper():
    # The worked example of the paper's note on spreadsheets: two repeats, the last in week 30.43.
    found = PUBLISHED.expected_orders(*map(jnp.float32, (2.0, 30.43, 38.86)), WEEKS)
    assert float(found) == pytest.approx(1.226, abs=5e-4)


def test_expected_value_is_that_of_the_paper():
    found = PUBLISHED_VALUES.expected_value(jnp.float32(2.0), jnp.float32(22.35))
    assert float(found) == pytest.approx(24.66, abs=0.02)


@pytest.mark.parametrize(
    "model", [PUBLISHED, BgNbd(0.5, 30.0, 0.1, 2.0), BgNbd(1.2, 60.0, 1.01, 3.0)]
)
def test_expected_orders_equal_the_hypergeometric_form(model):
    rng = np.random.default_rng(0)
    repeats = rng.poisson(3, 500) * rng.integers(0, 6, 500).astype(float)
    age = rng.uniform(1, 600, 500)
    recency = np.where(repeats > 0, age * rng.random(500), 0.0)
    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    z = WEEKS / (alpha + age + WEEKS)
    series = hyp2f1(r + repeats, b + repeats, a + b + repeats - 1, z)
    quiet = ((alpha + age) / (alpha + age + WEEKS)) ** (r + repeats)
    left = (
        a / (b + np.maximum(repeats, 1) - 1) * ((alpha + age) / (alpha + recency)) ** (r + repeats)
    )
    expected = (a + b + repeats - 1) / (a - 1) * (1 - quiet * series) / (1 + (repeats > 0) * left)
    with jax.enable_x64(True):
        found = model.expected_orders(*map(jnp.asarray, (repeats, recency, age)), WEEKS)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_probabilities_and_orders_hold_among_simulated_customers():
    histories, later = base()
    at = columns(histories)
    within = np.asarray(PUBLISHED.orders_within(*at, WEEKS), np.float64)
    expected = np.asarray(PUBLISHED.expected_orders(*at, WEEKS), np.float64)
    for share in (histories.repeats == 0, histories.repeats == 1, histories.repeats > 2):
        error = 4 * np.sqrt(within[share].mean() / share.sum())
        assert within[share].mean() == pytest.approx((later[share] > 0).mean(), abs=error)
        spread = 4 * later[share].std() / np.sqrt(share.sum())
        assert expected[share].mean() == pytest.approx(later[share].mean(), abs=spread)


def test_equal_histories_are_counted():
    histories = Histories(
        np.array([1.0, 0.0, 1.0]), np.array([5.0, 0.0, 5.0]), np.array([9.0, 9.0, 9.0])
    )
    distinct, counts = histories.distinct()
    assert sorted(zip(distinct.repeats.tolist(), counts.tolist(), strict=True)) == [(0, 1), (1, 2)]


def test_too_few_customers_are_refused_by_name():
    histories, _ = base()
    few = Histories(*(np.asarray(c)[:30] for c in columns(histories)))
    with pytest.raises(FailedPreconditionError, match="customers are 30, at least 100"):
        fit_bg_nbd(few)


def test_customers_without_repeats_are_refused_by_name():
    once = Histories(np.zeros(500), np.zeros(500), np.full(500, 30.0))
    with pytest.raises(FailedPreconditionError, match="a repeat order are 0, at least 20"):
        fit_bg_nbd(once)


def test_a_history_that_cannot_be_names_its_row():
    with pytest.raises(InvalidArgumentError, match="recency of row 1 is impossible"):
        Histories(np.array([1.0, 1.0]), np.array([1.0, 9.0]), np.array([5.0, 5.0]))
