"""The probabilistic member: who comes back and for how much, from four numbers of a history.

BG/NBD and Gamma-Gamma need no labels, so they know the level of the latest instant, which networks
fitted to older windows lag behind.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.customer_base import (
    BgNbd,
    GammaGamma,
    Histories,
    fit_bg_nbd,
    fit_gamma_gamma,
)
from services.training.runs.rows import Rows
from shared.errors import FailedPreconditionError

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]

_LEAST_CHANCE = 1e-4
"""Chances keep this far from 0 and 1, where a logit ends."""

_LEAST_SPEND = 1e-3


@dataclass(frozen=True)
class Returning:
    """Both fitted models as arrays."""

    orders: NumpyArray
    """r, alpha, a and b of the BG/NBD, in days."""
    values: NumpyArray
    """p, q and gamma of the Gamma-Gamma, in currency units."""


def fit_returning(rows: Rows) -> Returning | None:
    """Fit to all customers as they stood at the latest instant; no label is read.

    Returns:
        None where the history is not among the features or determines no such model.
    """
    if not rows.history:
        return None
    last = rows.where(rows.as_ofs == rows.as_ofs.max())
    repeats, recency, age, value = (
        np.asarray(each, np.float64)
        for each in _history(jnp.asarray(last.features[:, rows.history]))
    )
    histories = Histories(repeats, np.minimum(recency, age), age, value)
    try:
        orders, values = fit_bg_nbd(histories), fit_gamma_gamma(histories)
    except FailedPreconditionError:
        return None
    return Returning(
        np.array([orders.r, orders.alpha, orders.a, orders.b], np.float32),
        np.array([values.p, values.q, values.gamma], np.float32),
    )


def said(orders: Array, values: Array, history: Array, horizon_days: float) -> tuple[Array, Array]:
    """Logit of an order within the horizon, and log of the spend expected if there is one.

    Args:
        orders: As in `Returning`.
        values: As in `Returning`.
        history: [row, 4], raw features in the order of `HISTORY`.
        horizon_days: Time ahead.
    """
    repeats, recency, age, value = _history(history)
    counts, amounts = BgNbd(*orders), GammaGamma(*values)
    chance = counts.orders_within(repeats, recency, age, horizon_days)
    chance = _LEAST_CHANCE + (1.0 - 2.0 * _LEAST_CHANCE) * chance
    expected = counts.expected_orders(repeats, recency, age, horizon_days)
    spend = expected * amounts.expected_value(repeats, value)
    logit = jnp.log(chance) - jnp.log1p(-chance)
    return logit, jnp.log(jnp.maximum(spend, _LEAST_SPEND)) - jnp.log(chance)


def _history(features: Array) -> tuple[Array, Array, Array, Array]:
    """Repeats, recency, age and mean value of an order day; a missing number is none."""
    days, since, tenure, gross = jnp.maximum(jnp.nan_to_num(features), 0.0).T
    # Scaled and back, a whole number is no longer quite whole, and no repeat must stay none.
    repeats = jnp.maximum(jnp.round(days) - 1.0, 0.0)
    recency = jnp.where(repeats > 0, jnp.clip(tenure - since, 0.0, tenure), 0.0)
    return repeats, recency, tenure, gross / jnp.maximum(days, 1.0)
