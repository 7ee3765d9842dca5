"""Measures of order: how well scores sort users, under any weighting of the users."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating]
Metric: TypeAlias = Callable[[Floats], float]
"""Takes one weight per user (1 each, or how often a bootstrap sample drew them), gives a number."""


def auc(labels: NDArray[np.bool_], scores: Floats) -> Metric:
    """Chance that a user with the label scores above one without; ties count half.

    >>> auc(np.array([True, False, False]), np.array([2.0, 2.0, 1.0]))(np.ones(3))
    0.75
    """
    order, starts = _tie_groups(scores)
    positive = labels[order].astype(np.float64)

    def metric(weights: Floats) -> float:
        drawn = weights[order]
        positives = np.add.reduceat(drawn * positive, starts)
        negatives = np.add.reduceat(drawn * (1.0 - positive), starts)
        below = np.cumsum(negatives) - negatives
        pairs = positives.sum() * negatives.sum()
        return _ratio(float((positives * (below + 0.5 * negatives)).sum()), float(pairs))

    return metric


def average_precision(labels: NDArray[np.bool_], scores: Floats) -> Metric:
    """Area under the precision-recall curve as a step function, equal scores taken together.

    >>> average_precision(np.array([True, False, True]), np.array([3.0, 2.0, 1.0]))(np.ones(3))
    0.8333333333333333
    """
    order, starts = _tie_groups(-np.asarray(scores, dtype=np.float64))
    positive = labels[order].astype(np.float64)

    def metric(weights: Floats) -> float:
        drawn = weights[order]
        positives = np.add.reduceat(drawn * positive, starts)
        taken = np.cumsum(np.add.reduceat(drawn, starts))
        found = np.cumsum(positives)
        precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
        return _ratio(float((precision * positives).sum()), float(positives.sum()))

    return metric


def spearman(actual: Floats, predicted: Floats) -> Metric:
    """Correlation of ranks, ties at their middle rank.

    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0]))(np.ones(3))
    0.5
    """
    actual_groups, predicted_groups = _tie_groups(actual), _tie_groups(predicted)

    def metric(weights: Floats) -> float:
        left = _ranks(weights, *actual_groups)
        right = _ranks(weights, *predicted_groups)
        total = weights.sum()
        left = left - (left * weights).sum() / total
        right = right - (right * weights).sum() / total
        spread = (weights * left**2).sum() * (weights * right**2).sum()
        return _ratio(float((weights * left * right).sum()), float(np.sqrt(spread)))

    return metric


def normalised_gini(actual: Floats, predicted: Floats) -> Metric:
    """How much of the best possible concentration of `actual` sorting by `predicted` finds.

    1 is the order of `actual` itself, 0 a random order.

    >>> normalised_gini(np.array([0.0, 1.0, 5.0]), np.array([0.1, 0.2, 0.9]))(np.ones(3))
    1.0
    """
    by_actual, by_predicted = _tie_groups(actual), _tie_groups(predicted)

    def metric(weights: Floats) -> float:
        return _ratio(_gini(weights, actual, *by_predicted), _gini(weights, actual, *by_actual))

    return metric


def _tie_groups(values: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order of ascending values, and where in it each run of equal values starts."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return order, starts


def _ranks(weights: Floats, order: NDArray[np.intp], starts: NDArray[np.intp]) -> Floats:
    drawn = np.add.reduceat(weights[order], starts)
    middle = np.cumsum(drawn) - drawn / 2.0
    sizes = np.diff(np.append(starts, len(order)))
    ranks = np.empty(len(order))
    ranks[order] = np.repeat(middle, sizes)
    return ranks


def _gini(
    weights: Floats, actual: Floats, order: NDArray[np.intp], starts: NDArray[np.intp]
) -> float:
    users = np.add.reduceat(weights[order], starts)
    amounts = np.add.reduceat((weights * actual)[order], starts)
    if users.sum() == 0 or amounts.sum() == 0:
        return float("nan")
    share_before = (np.cumsum(amounts) - amounts) / amounts.sum()
    width = users / users.sum()
    area = float((width * (share_before + amounts / amounts.sum() / 2.0)).sum())
    return 1.0 - 2.0 * area


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else float("nan")
