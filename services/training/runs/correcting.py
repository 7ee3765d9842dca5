"""All corrections of an ensemble, from what its members say of users held out from them."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit

from services.training.runs import heads
from services.training.runs.answer import weighed
from services.training.runs.calibration import (
    Calibration,
    fit_decision,
    fit_interval,
    fit_level,
    fit_platt,
    fit_segments,
    fit_spend_factor,
    fit_spending,
)
from services.training.runs.rows import DAY
from services.training.runs.spending import Spending

NumpyArray = np.ndarray[Any, Any]

UNCALIBRATED = Calibration(
    slope=1.0,
    intercept=0.0,
    base_share=0.0,
    base_shift=0.0,
    spend_shift=0.0,
    spend_width=1.0,
    spend_factor=1.0,
    sharpness=1.0,
    segment_shift=np.zeros(3),
    decision=np.ones(4),
    tail=0.05,
    is_sure_from=1.0,
)
"""Changes nothing."""


BASE_SHARE = 0.25
"""What the customer-base models count in the logit of an order."""


@dataclass(frozen=True)
class HeldOut:
    """What is said of each row by those fitted without its user.

    Attributes:
        logit: Of an order, by networks and straight lines.
        base: Of an order, by the customer-base models, which know no labels; None where there are
            none.
        windows: How many windows of labels there are that do not overlap.
        location: Mean of log spend given an order.
        spread: Its standard deviation.
    """

    logit: Any
    base: Any
    windows: float
    location: Any
    spread: NumpyArray


@dataclass(frozen=True)
class Weighing:
    """How networks and straight lines, and the customer-base models, become one calibrated logit.

    Attributes:
        slope: Factor on the logit of networks and straight lines; above 0.
        intercept: Added after the slope.
        base_share: What the customer-base models count.
        base_shift: Added to their logit.
    """

    slope: float
    intercept: float
    base_share: float = 0.0
    base_shift: float = 0.0


UNWEIGHED = Weighing(1.0, 0.0)
"""Leaves networks and straight lines as they are."""


def fit_weighing(
    logit: NumpyArray,
    base: NumpyArray | None,
    is_active: NumpyArray,
    weights: NumpyArray,
    windows: float,
) -> Weighing:
    """Calibrate each kind by itself.

    Args:
        logit: Of an order, by networks and straight lines, for rows they were not fitted to.
        base: By the customer-base models, which know no labels; None where there are none.
        is_active: The answers.
        weights: Of the rows.
        windows: How many windows of labels there are that do not overlap.
    """
    slope, intercept = fit_platt(logit, is_active, weights)
    if base is None:
        return Weighing(slope, intercept)
    return Weighing(slope, intercept, BASE_SHARE, fit_level(base, is_active, weights, windows))


def windows_of(as_ofs: NumpyArray, horizon_days: float) -> float:
    """How many windows of labels, which begin at these instants, do not overlap; at least 1."""
    return 1.0 + float(np.ptp(as_ofs)) / DAY / horizon_days


def calibrate(
    said: HeldOut,
    spend: NumpyArray,
    limits: tuple[float, float],
    most: float,
    weights: NumpyArray,
) -> Calibration:
    """Fit every correction; each is fitted to what those before it leave.

    Args:
        said: Of the rows.
        spend: What was spent.
        limits: Between the value segments.
        most: Log of the most that anybody spent.
        weights: Of the rows.
    """
    wide, is_active = weights.astype(np.float64), spend > 0
    bought, log_spend = wide[is_active], np.log(spend[is_active])
    logit, location, spread = (
        np.asarray(each, np.float64) for each in (said.logit, said.location, said.spread)
    )
    base = None if said.base is None else np.asarray(said.base, np.float64)
    made = fit_weighing(logit, base, is_active, wide, said.windows)
    learned = made.slope * logit + made.intercept
    by_base = 0.0 if base is None else base + made.base_shift
    active = expit(weighed(learned, by_base, made.base_share))
    shift, width = fit_spending(location[is_active], spread[is_active], log_spend, bought)
    spending = Spending(jnp.asarray(location + shift), jnp.asarray(width * spread))

    log_shares = np.asarray(spending.log_shares(jnp.log(jnp.maximum(jnp.array(limits), 1e-6))))
    classes = heads.segments(spend, limits)
    sharpness, moved = fit_segments(log_shares[is_active], classes[is_active] - 1, bought)
    shares = np.asarray(jax.nn.softmax(sharpness * log_shares + moved, axis=1))
    segments = np.concatenate([1.0 - active[:, None], active[:, None] * shares], axis=1)

    logs = np.log(np.where(is_active, spend, 1.0))
    tails = np.asarray(spending.tail(jnp.asarray(active), jnp.asarray(logs)))
    tail, is_sure_from = fit_interval(tails, active, is_active, wide)
    expected = active * np.exp(np.asarray(spending.log_mean(jnp.asarray(most))))
    return replace(
        UNCALIBRATED,
        **vars(made),
        spend_shift=shift,
        spend_width=width,
        spend_factor=fit_spend_factor(expected, spend, wide),
        sharpness=sharpness,
        segment_shift=moved,
        decision=fit_decision(segments, classes, wide),
        tail=tail,
        is_sure_from=is_sure_from,
    )
