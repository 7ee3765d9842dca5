"""The customer-base models as a member: read from features, left out where they cannot be."""

import jax.numpy as jnp
import numpy as np
import pytest

from services.training.customer_base import BgNbd
from services.training.runs.attribution import shapley
from services.training.runs.returning import fit_returning, said
from services.training.runs.rows import Rows

ORDERS, VALUES = jnp.array([0.25, 30.0, 0.8, 2.4]), jnp.array([6.25, 3.74, 15.44])


def rows_of(features, history=(0, 1, 2, 3)):
    count = len(features)
    return Rows(
        np.arange(count, dtype=np.uint64),
        np.zeros(count, np.int64),
        np.ones(count, bool),
        np.asarray(features, np.float32),
        np.ones(count),
        history=history,
    )


def customers(count, seed=0):
    rng = np.random.default_rng(seed)
    days = 1.0 + rng.poisson(rng.gamma(1.0, 2.0, count))
    tenure = rng.uniform(60, 360, count)
    since = np.where(days > 1, tenure * rng.random(count), tenure)
    return np.stack([days, since, tenure, days * rng.gamma(4.0, 10.0, count)], axis=1)


def test_the_chance_is_that_of_the_model():
    logit, _ = said(ORDERS, VALUES, jnp.array([[3.0, 20.0, 200.0, 90.0]]), 90.0)
    expected = BgNbd(0.25, 30.0, 0.8, 2.4).orders_within(
        jnp.array(2.0), jnp.array(180.0), jnp.array(200.0), 90.0
    )
    assert 1 / (1 + np.exp(-float(logit[0]))) == pytest.approx(float(expected), abs=2e-4)


def test_a_single_order_that_is_not_quite_whole_stays_a_single_order():
    exact, _ = said(ORDERS, VALUES, jnp.array([[1.0, 200.0, 200.0, 30.0]]), 90.0)
    scaled, _ = said(ORDERS, VALUES, jnp.array([[1.0000002, 200.0, 200.0, 30.0]]), 90.0)
    assert float(scaled[0]) == pytest.approx(float(exact[0]), abs=1e-6)


def test_whatever_a_history_holds_the_answer_is_finite():
    wild = jnp.array([[jnp.nan] * 4, [0.0] * 4, [1e9, 0.0, 1e9, 1e12], [5.0, 400.0, 10.0, -3.0]])
    for each in said(ORDERS, VALUES, wild, 90.0):
        assert np.isfinite(each).all()


def test_features_without_the_history_or_too_few_customers_give_no_member():
    assert fit_returning(rows_of(customers(500), history=())) is None
    assert fit_returning(rows_of(customers(40))) is None
    fitted = fit_returning(rows_of(customers(500)))
    assert (fitted.orders > 0).all()
    assert (fitted.values > 0).all()


def test_shapley_values_add_up_and_treat_equal_columns_alike():
    rng = np.random.default_rng(0)
    rows, mean = jnp.asarray(rng.normal(size=(9, 4))), jnp.asarray(rng.normal(size=(1, 4)))

    def value(x):
        return jnp.sin(x[:, 0] * x[:, 1]) + x[:, 2]

    parts = np.asarray(shapley(value, mean, rows))
    assert parts.sum(axis=1) == pytest.approx(np.asarray(value(rows) - value(mean)), abs=1e-5)
    assert parts[:, 3] == pytest.approx(np.zeros(9))
    assert parts[:, 2] == pytest.approx(np.asarray(rows[:, 2] - mean[:, 2]), abs=1e-5)
