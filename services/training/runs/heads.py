"""Two heads over one encoder: active, and the spend of the active."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.models import HeadSpec

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]

HEADS = (HeadSpec("active", 1), HeadSpec("spend", 2))

LEAST_SIGMA, MOST_SIGMA = 0.2, 3.0
"""The log-normal's spread in standard deviations of log spend: wide enough for any shop, and
bounded because the mean grows with the exponential of its square."""


@dataclass(frozen=True)
class SpendScale:
    """Mean, standard deviation and maximum of the log of spend among active training rows."""

    centre: float
    spread: float
    most: float


def fit_spend_scale(spend: NumpyArray) -> SpendScale:
    """Fit on the spend of all rows; those without spend do not count."""
    logs = np.log(spend[spend > 0].astype(np.float64))
    if not len(logs):
        return SpendScale(0.0, 1.0, 0.0)
    return SpendScale(float(logs.mean()), max(float(logs.std()), 0.1), float(logs.max()))


def targets(spend: NumpyArray, scale: SpendScale) -> dict[str, Any]:
    """What the heads are trained on.

    Args:
        spend: Gross spend in the horizon, in currency units.
        scale: Scale of log spend.
    """
    is_active = spend > 0
    logs = np.log(np.where(is_active, spend, 1.0).astype(np.float64))
    return {
        "active": is_active.astype(np.float32),
        "log_spend": ((logs - scale.centre) / scale.spread).astype(np.float32),
    }


def segments(spend: NumpyArray, limits: tuple[float, float]) -> NumpyArray:
    """0 for no spend, then 1 up to the low limit, 2 up to the high limit, 3 above.

    >>> segments(np.array([0.0, 5.0, 5.1, 9.0]), (5.0, 8.0)).tolist()
    [0, 1, 2, 3]
    """
    low, high = limits
    above = 1 + (spend > low).astype(np.int64) + (spend > high)
    return np.where(spend > 0, above, 0)


def objective(outputs: dict[str, Array], wanted: dict[str, Array], weights: Array) -> Array:
    """Loss per row: cross-entropy of active, plus the log-normal loss of active rows."""
    active = wanted["active"]
    loss_active = _softplus_loss(outputs["active"][:, 0], active)
    mean, sigma = spend_parameters(outputs["spend"])
    loss_spend = 0.5 * jnp.square((wanted["log_spend"] - mean) / sigma) + jnp.log(sigma)
    return weights * (loss_active + active * 0.5 * loss_spend)


def spend_parameters(output: Array) -> tuple[Array, Array]:
    """Mean and spread of standardised log spend, the spread kept within its limits."""
    sigma = LEAST_SIGMA + jax.nn.softplus(output[:, 1] + 0.5)
    return output[:, 0], jnp.minimum(sigma, MOST_SIGMA)


def _softplus_loss(logits: Array, labels: Array) -> Array:
    return jax.nn.softplus(logits) - labels * logits
