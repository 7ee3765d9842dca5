"""Corrections fitted on predictions for users that a member was not trained on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

NumpyArray = np.ndarray[Any, Any]

_SLOPE_PRIOR_ROWS = 20.0
"""How many rows' worth of belief there is in a slope of 1, which matters for small data only."""

_MOST_FACTOR = 3.0


@dataclass(frozen=True)
class Calibration:
    """Corrections of all three heads.

    Attributes:
        slope: Factor on the mean active logit of the members; above 0.
        intercept: Added after the slope.
        spend_factor: Factor on the expected spend of the active.
        sharpness: Factor on the segment logits.
        segment_shift: Added after the sharpness, one number a segment of the active.
    """

    slope: float
    intercept: float
    spend_factor: float
    sharpness: float
    segment_shift: NumpyArray


def fit_platt(
    logits: NumpyArray, is_active: NumpyArray, weights: NumpyArray
) -> tuple[float, float]:
    """Slope and intercept that make the logits' probabilities right on average at every level."""
    wanted = is_active.astype(np.float64)
    share = weights / max(weights.sum(), 1e-12)

    def loss(parameters: NumpyArray) -> tuple[float, NumpyArray]:
        slope = np.exp(parameters[0])
        z = slope * logits + parameters[1]
        prior = _SLOPE_PRIOR_ROWS / max(weights.sum(), 1.0)
        value = (share * (np.logaddexp(0.0, z) - wanted * z)).sum() + prior * parameters[0] ** 2
        error = share * (1.0 / (1.0 + np.exp(-z)) - wanted)
        gradient = [(error * logits).sum() * slope + 2.0 * prior * parameters[0], error.sum()]
        return float(value), np.array(gradient)

    best = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-1.5, 1.5), (-8, 8)])
    return float(np.exp(best.x[0])), float(best.x[1])


def fit_spend_factor(expected: NumpyArray, spend: NumpyArray, weights: NumpyArray) -> float:
    """Factor that makes the total expected equal the total spent, kept within a third and three."""
    total = float((weights * expected).sum())
    if total <= 0.0:
        return 1.0
    factor = float((weights * spend).sum()) / total
    return float(np.clip(factor, 1.0 / _MOST_FACTOR, _MOST_FACTOR))


def fit_segments(
    logits: NumpyArray, classes: NumpyArray, weights: NumpyArray
) -> tuple[float, NumpyArray]:
    """Sharpness and shifts of the segment logits of active rows; shifts add up to 0."""
    count = logits.shape[1]
    if not len(logits):
        return 1.0, np.zeros(count)
    share = weights / max(weights.sum(), 1e-12)
    wanted = np.eye(count)[classes]

    def loss(parameters: NumpyArray) -> tuple[float, NumpyArray]:
        sharpness = np.exp(parameters[0])
        chances = log_softmax(sharpness * logits + parameters[1:], axis=1)
        prior = _SLOPE_PRIOR_ROWS / max(weights.sum(), 1.0)
        value = -(share[:, None] * wanted * chances).sum() + prior * (parameters**2).sum()
        error = share[:, None] * (np.exp(chances) - wanted)
        gradient = np.concatenate([[(error * logits).sum() * sharpness], error.sum(axis=0)])
        return float(value), gradient + 2.0 * prior * parameters

    bounds = [(-2.0, 1.5)] + [(-4.0, 4.0)] * count
    best = minimize(loss, np.zeros(1 + count), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(np.exp(best.x[0])), best.x[1:] - best.x[1:].mean()
