"""Measures of when something happens, from chances by the end of equal parts of a horizon.

Nobody is lost from sight within a horizon: whoever has not waited to its end is known to the day.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.training.evaluation.probability import mean
from services.training.evaluation.ranking import Floats, Metric

Parts = NDArray[np.int64]


def concordance(parts: Parts, chances: Floats) -> Metric:
    """Chance that of two users the one for whom it happened in an earlier part was said to be
    sooner, by the area under the chances (Harrell et al., 1982); equal ones count half.

    >>> chances = np.array([[0.5, 0.9], [0.2, 0.4], [0.3, 0.5]])
    >>> concordance(np.array([0, 1, 2]), chances)(np.ones(3))
    0.6666666666666666
    """
    count, soon = chances.shape[1], chances.sum(axis=1)
    order = np.argsort(soon, kind="stable")
    ordered, part = soon[order], parts[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    is_part = [part == each for each in range(count)]
    is_later = [part > each for each in range(count)]

    def metric(weights: Floats) -> float:
        drawn, right, pairs = weights[order], 0.0, 0.0
        for now, later in zip(is_part, is_later, strict=True):
            sooner = np.add.reduceat(drawn * now, starts)
            others = np.add.reduceat(drawn * later, starts)
            below = np.cumsum(others) - others
            right += float((sooner * (below + 0.5 * others)).sum())
            pairs += float(sooner.sum() * others.sum())
        return right / pairs if pairs else float("nan")

    return metric


def integrated_brier(parts: Parts, chances: Floats) -> Metric:
    """Squared distance of the chances from what had happened, mean over the ends of parts.

    >>> integrated_brier(np.array([1]), np.array([[0.5, 0.5]]))(np.ones(1))
    0.25
    """
    has_happened = parts[:, None] <= np.arange(chances.shape[1])
    return mean(((chances - has_happened) ** 2).mean(axis=1))


def coverage(days: Floats, chances: Floats, horizon_days: float, low: float, high: float) -> Metric:
    """Share that happened between two levels of their chances; meant to be `high - low`.

    Who waited through the horizon counts with the part of the rest that lies between.

    Args:
        days: Until it happened; NaN where it did not.
        chances: [row, part].
        horizon_days: The ends of parts divide it.
        low: Lower level.
        high: Upper level.
    """
    reached = chances_at(days, chances, horizon_days)
    last = chances[:, -1]
    rest = np.clip(np.minimum(high, 1.0) - np.maximum(last, low), 0.0, None)
    waited = rest / np.maximum(1.0 - last, 1e-12)
    return mean(np.where(np.isnan(days), waited, (low <= reached) & (reached <= high)))


def chances_at(days: Floats, chances: Floats, horizon_days: float) -> Floats:
    """The chance that was given to have happened by then, of each row; linear within a part."""
    count = chances.shape[1]
    place = np.clip(np.nan_to_num(days, nan=horizon_days) * count / horizon_days, 0.0, count)
    part = np.minimum(place.astype(np.int64), count - 1)
    row = np.arange(len(days))
    before = np.concatenate([np.zeros((len(days), 1)), chances], axis=1)
    low, high = before[row, part], before[row, part + 1]
    reached: Floats = low + (place - part) * (high - low)
    return reached


def days_reached(chances: Floats, level: float, horizon_days: float) -> Floats:
    """Days by which the chance reaches a level; the horizon where it does so later."""
    count = chances.shape[1]
    before = np.concatenate([np.zeros((len(chances), 1)), chances], axis=1)
    part = (chances < level).sum(axis=1)
    inside, row = np.minimum(part, count - 1), np.arange(len(chances))
    low, high = before[row, inside], before[row, inside + 1]
    within = np.clip((level - low) / np.maximum(high - low, 1e-12), 0.0, 1.0)
    return np.where(part < count, horizon_days * (part + within) / count, horizon_days)


def pinball(days: Floats, chances: Floats, horizon_days: float, levels: Sequence[float]) -> Metric:
    """Mean pinball loss in days of the days at some levels; who waits longer counts the horizon."""
    seen = np.nan_to_num(days, nan=horizon_days)
    total = np.zeros(len(days))
    for level in levels:
        off = seen - days_reached(chances, level, horizon_days)
        total += np.maximum(level * off, (level - 1.0) * off)
    return mean(total / len(levels))


def cell_chances(known: Floats, parts: Parts, asked: Floats, count: int) -> Floats:
    """Chances by part among training users of the same fifths of two features.

    Args:
        known: [row, 2] of training rows.
        parts: Theirs.
        asked: [row, 2] of the rows spoken of.
        count: Parts of the horizon.
    """
    known, asked = np.nan_to_num(known), np.nan_to_num(asked)
    cuts = [np.unique(np.quantile(known[:, column], (0.2, 0.4, 0.6, 0.8))) for column in (0, 1)]

    def cell(rows: Floats) -> NDArray[np.intp]:
        first, second = (np.searchsorted(cuts[column], rows[:, column]) for column in (0, 1))
        places: NDArray[np.intp] = first * 5 + second
        return places

    has_happened = (parts[:, None] <= np.arange(count)).astype(np.float64)
    of_known, of_asked = cell(known), cell(asked)
    said = np.tile(has_happened.mean(axis=0), (len(asked), 1))
    for each in np.unique(of_asked):
        inside = of_known == each
        if inside.sum() >= 20:
            said[of_asked == each] = has_happened[inside].mean(axis=0)
    return said
