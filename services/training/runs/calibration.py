"""Corrections fitted on predictions for users that a member was not trained on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import expit, log_softmax

NumpyArray = np.ndarray[Any, Any]

_SLOPE_PRIOR_ROWS = 20.0
"""How many rows' worth of belief there is in a slope of 1, which matters for small data only."""

_MOST_FACTOR = 3.0

_MOST_SHIFT = 30.0

_PRIOR_WINDOWS = 4.0
"""How many windows' worth of belief there is in the level of models that know no labels."""

COVERAGE = 0.9
"""Share of users whose spend an interval holds."""

_DECISION_STEPS = (0.3, 0.3, 0.3, 0.15, 0.15, 0.08, 0.08)
"""Steps of the search for a decision, in logs of the factors."""


@dataclass(frozen=True)
class Calibration:
    """Corrections of all three heads.

    Attributes:
        slope: Factor on the mean active logit of networks and straight lines; above 0.
        intercept: Added after the slope.
        base_share: What the customer-base models count in the logit beside that.
        base_shift: Added to theirs.
        spend_shift: Added to the mean of log spend.
        spend_width: Factor on its spread.
        spend_factor: Factor on the expected spend of the active.
        sharpness: Factor on the logs of the segments' shares.
        segment_shift: Added after the sharpness, one number a segment of the active.
        decision: Factor on each segment's probability before the largest decides.
        tail: Above an interval, as of `Spending.tail`.
        is_sure_from: Chance of an order from which on an interval leaves out 0.
    """

    slope: float
    intercept: float
    base_share: float
    base_shift: float
    spend_shift: float
    spend_width: float
    spend_factor: float
    sharpness: float
    segment_shift: NumpyArray
    decision: NumpyArray
    tail: float
    is_sure_from: float


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


def fit_level(
    logits: NumpyArray, is_active: NumpyArray, weights: NumpyArray, windows: float
) -> float:
    """Shift of logits that were fitted to no label, towards the rate of the windows of labels.

    Windows differ in their level, so that the next one has that of a few of them no more than that
    of a model which knows none: the shift is drawn to 0, the less the more windows there are.

    Args:
        logits: Of rows.
        is_active: Their answers, some of each kind.
        weights: Of the rows.
        windows: How many windows of labels there are that do not overlap; at least 1.
    """
    wanted = np.average(is_active, weights=weights)

    def above(shift: float) -> float:
        return float(np.average(expit(logits + shift), weights=weights) - wanted)

    whole = float(brentq(above, -_MOST_SHIFT, _MOST_SHIFT))
    return whole * windows / (windows + _PRIOR_WINDOWS)


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


def fit_spending(
    location: NumpyArray, spread: NumpyArray, log_spend: NumpyArray, weights: NumpyArray
) -> tuple[float, float]:
    """Shift of the mean and factor on the spread of log spend, from rows with spend.

    As many rows of no shift and the spread as it is are counted in as for slopes.
    """
    off = log_spend - location
    total = weights.sum() + _SLOPE_PRIOR_ROWS
    shift = float((weights * off).sum() / total)
    squares = (weights * ((off - shift) / spread) ** 2).sum() + _SLOPE_PRIOR_ROWS
    return shift, float(np.sqrt(squares / total))


def fit_decision(probabilities: NumpyArray, classes: NumpyArray, weights: NumpyArray) -> NumpyArray:
    """Factors on class probabilities for which the largest has the best macro F1.

    Searched from what makes rare classes count more, one class at a time in ever smaller steps;
    the first class's factor is 1.
    """
    score = _macro_f1(classes, weights, probabilities.shape[1])
    mean = np.average(probabilities, axis=0, weights=weights)
    logs = -0.75 * np.log(np.maximum(mean, 1e-6) / max(float(mean[0]), 1e-6))
    best = score((probabilities * np.exp(logs)).argmax(axis=1))
    for step in _DECISION_STEPS:
        for place in range(1, len(logs)):
            for change in (step, -step):
                tried = logs + change * (np.arange(len(logs)) == place)
                found = score((probabilities * np.exp(tried)).argmax(axis=1))
                if found > best:
                    logs, best = tried, found
    factors: NumpyArray = np.exp(logs)
    return factors


def fit_interval(
    tails: NumpyArray, active: NumpyArray, is_active: NumpyArray, weights: NumpyArray
) -> tuple[float, float]:
    """Tail and sureness for which 90 % of those who ordered are covered, and 90 % of the others.

    Label-conditional conformal prediction (Vovk, Gammerman and Shafer, "Algorithmic Learning in a
    Random World", 2005, section 4.5): an interval leaves out what is less typical of its kind than
    nine in ten held out.

    Args:
        tails: How untypical what was spent is, the less the more so; `Spending.tail`.
        active: Chance of an order.
        is_active: Whether there was one.
        weights: Of the rows.
    """
    share = 1.0 - COVERAGE
    others = ~is_active
    return (
        quantile(tails[is_active], weights[is_active], share),
        quantile(active[others], weights[others], COVERAGE),
    )


def quantile(values: NumpyArray, weights: NumpyArray, level: float) -> float:
    """The smallest value that has this share of all weight at or below it.

    >>> quantile(np.array([3.0, 1.0, 2.0]), np.ones(3), 0.5)
    2.0
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order].astype(np.float64))
    place = np.searchsorted(reached, level * reached[-1] * (1.0 - 1e-12))
    return float(values[order][min(int(place), len(order) - 1)])


def _macro_f1(
    classes: NumpyArray, weights: NumpyArray, count: int
) -> Callable[[NumpyArray], float]:
    seen = np.bincount(classes, weights, count)

    def score(decided: NumpyArray) -> float:
        said = np.bincount(decided, weights, count)
        hits = np.bincount(decided, weights * (decided == classes), count)
        return float((2.0 * hits / np.maximum(seen + said, 1e-12)).mean())

    return score
