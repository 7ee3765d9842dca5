"""Both heads and their losses, by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from services.training.runs import heads


def outputs(active=0.0, spend=(0.0, 0.0)):
    return {"active": jnp.array([[active]]), "spend": jnp.array([spend])}


def wanted(active=0.0, log_spend=0.0):
    return {"active": jnp.array([active]), "log_spend": jnp.array([log_spend])}


def test_a_user_without_an_order_teaches_the_active_head_alone():
    loss = heads.objective(outputs(active=2.0), wanted(), jnp.ones(1))
    assert float(loss[0]) == pytest.approx(math.log1p(math.exp(2.0)), rel=1e-6)
    other = heads.objective(outputs(active=2.0, spend=(9.0, 1.0)), wanted(), jnp.ones(1))
    assert float(other[0]) == float(loss[0])


def test_an_active_user_teaches_both_heads():
    _, sigma = heads.spend_parameters(jnp.array([[0.0, 0.0]]))
    expected = math.log(2.0) + 0.5 * (
        0.5 * (1.0 / float(sigma[0])) ** 2 + math.log(float(sigma[0]))
    )
    loss = heads.objective(outputs(), wanted(1.0, 1.0), jnp.ones(1))
    assert float(loss[0]) == pytest.approx(expected, rel=1e-5)


def test_a_row_of_no_weight_loses_nothing():
    assert float(heads.objective(outputs(), wanted(1.0), jnp.zeros(1))[0]) == 0.0


def test_wild_outputs_keep_finite_losses_and_gradients():
    def loss(size):
        given = outputs(active=size, spend=(size, size))
        return heads.objective(given, wanted(1.0, 3.0), jnp.ones(1)).sum()

    for size in (-1e3, 1e3):
        assert math.isfinite(float(loss(size)))
        assert math.isfinite(float(jax.grad(loss)(size)))


def test_segments_split_spenders_at_the_limits():
    spend = np.array([0.0, 0.01, 20.0, 20.01, 60.0, 60.01])
    assert heads.segments(spend, (20.0, 60.0)).tolist() == [0, 1, 1, 2, 2, 3]


def test_targets_standardise_the_log_of_spend():
    spend = np.array([0.0, 10.0, 1000.0])
    scale = heads.fit_spend_scale(spend)
    made = heads.targets(spend, scale)
    assert made["active"].tolist() == [0.0, 1.0, 1.0]
    assert made["log_spend"][1:] == pytest.approx([-1.0, 1.0], abs=1e-6)
