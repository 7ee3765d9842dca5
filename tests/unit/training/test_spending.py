"""One distribution of spend: its segments, tails and intervals, by hand and by simulation."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from services.training.runs.calibration import (
    fit_decision,
    fit_interval,
    fit_spending,
    quantile,
)
from services.training.runs.spending import Spending


def test_shares_are_those_of_a_log_normal():
    spending = Spending(jnp.array([1.0, 1.0]), jnp.array([0.5, 2.0]))
    shares = np.exp(np.asarray(spending.log_shares(jnp.array([0.5, 2.0]))))
    low, high = norm.cdf(-0.5 / np.array([0.5, 2.0])), norm.cdf(1.0 / np.array([0.5, 2.0]))
    assert shares == pytest.approx(np.stack([low, high - low, 1 - high], 1), rel=1e-5)


def test_the_expected_spend_is_that_of_a_log_normal_but_no_more_than_ever_seen():
    spending = Spending(jnp.array([1.0, 9.0]), jnp.array([0.5, 2.0]))
    assert np.asarray(spending.log_mean(jnp.array(8.0))) == pytest.approx([1.125, 8.0])


def test_the_tail_above_an_interval_is_what_was_asked():
    spending = Spending(jnp.array([1.0]), jnp.array([0.7]))
    active = jnp.array([0.4])
    low, high = spending.interval(active, jnp.array([0.05, 0.9]), jnp.array(50.0))
    assert float(low[0]) == 0.0
    assert float(spending.tail(active, jnp.log(high))[0]) == pytest.approx(0.05, rel=1e-4)


def test_who_hardly_orders_at_all_is_expected_to_spend_nothing():
    spending = Spending(jnp.array([1.0]), jnp.array([0.7]))
    low, high = spending.interval(jnp.array([5e-6]), jnp.array([0.05, 0.9]), jnp.array(50.0))
    assert (float(low[0]), float(high[0])) == (0.0, 0.0)


def test_buyers_are_covered_nearly_as_well_where_all_order_less_than_before():
    rng = np.random.default_rng(4)
    count = 40_000
    shares = []
    for rate in (1.0, 0.3):
        active = rate * rng.beta(1.0, 2.0, count)
        spend = np.where(rng.random(count) < active, np.exp(3.0 + rng.normal(size=count)), 0.0)
        spending = Spending(jnp.full(count, 3.0), jnp.ones(count))
        is_active, chances = spend > 0, jnp.asarray(active)
        if rate == 1.0:
            tails = np.asarray(spending.tail(chances, jnp.log(jnp.maximum(spend, 1e-3))))
            chosen = fit_interval(tails, active, is_active, np.ones(count))
        low, high = spending.interval(chances, jnp.array(chosen), jnp.array(99.0))
        held = (np.asarray(low) <= spend) & (spend <= np.asarray(high))
        shares.append(held[is_active].mean())
    assert shares[0] == pytest.approx(0.9, abs=0.01)
    assert shares[1] > 0.86


def test_who_is_surer_than_most_gets_an_interval_without_nothing():
    spending = Spending(jnp.array([1.0]), jnp.array([0.7]))
    low, high = spending.interval(jnp.array([0.95]), jnp.array([0.05, 0.9]), jnp.array(50.0))
    assert 0.0 < float(low[0]) < float(high[0])


def test_intervals_cover_nine_in_ten_of_buyers_and_of_others():
    rng = np.random.default_rng(0)
    count = 40_000
    active = rng.beta(1.0, 2.0, count)
    is_active = rng.random(count) < active
    # The spread is wrong on purpose: what is fitted to held out rows makes up for it.
    location, spread = rng.normal(3.0, 1.0, count), np.full(count, 0.5)
    spend = np.where(is_active, np.exp(location + 0.9 * rng.normal(size=count)), 0.0)
    fit = np.arange(count) < count // 2
    spending = Spending(jnp.asarray(location), jnp.asarray(spread))
    tails = np.asarray(spending.tail(jnp.asarray(active), jnp.log(jnp.maximum(spend, 1e-3))))
    chosen = fit_interval(tails[fit], active[fit], is_active[fit], np.ones(fit.sum()))
    low, high = spending.interval(jnp.asarray(active), jnp.array(chosen), jnp.array(99.0))
    held = (np.asarray(low) <= spend) & (spend <= np.asarray(high))
    assert held[~fit].mean() == pytest.approx(0.9, abs=0.015)
    assert held[~fit & is_active].mean() == pytest.approx(0.9, abs=0.015)


def test_shift_and_width_behind_the_data_are_found():
    rng = np.random.default_rng(1)
    location, spread = rng.normal(size=9_000), rng.uniform(0.5, 1.5, 9_000)
    logs = location + 0.3 + 1.4 * spread * rng.normal(size=9_000)
    found = fit_spending(location, spread, logs, np.ones(9_000))
    assert found == pytest.approx((0.3, 1.4), abs=0.05)


def test_a_decision_finds_the_class_that_is_never_the_likeliest():
    rng = np.random.default_rng(2)
    classes = (rng.random(6_000) < 0.2).astype(np.int64)
    rare = np.clip(0.2 + 0.2 * (classes - 0.2) + 0.05 * rng.normal(size=6_000), 0.01, 0.49)
    probabilities = np.stack([1 - rare, rare], axis=1)
    assert not (probabilities.argmax(axis=1) == 1).any()
    factors = fit_decision(probabilities, classes, np.ones(6_000))
    decided = (probabilities * factors).argmax(axis=1)
    assert factors[0] == 1.0
    assert (decided[classes == 1] == 1).mean() > 0.9
    assert (decided[classes == 0] == 0).mean() > 0.9


def test_a_quantile_counts_weights():
    values, weights = np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 8.0])
    assert [quantile(values, weights, level) for level in (0.1, 0.2, 0.3)] == [1.0, 2.0, 3.0]
