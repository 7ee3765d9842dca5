"""Measures of intervals of spend, and the plain intervals that a model's have to beat."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.training.evaluation.probability import mean
from services.training.evaluation.ranking import Floats, Metric

COVERAGE = 0.9
"""Share of users that an interval is meant to hold."""

_CUTS = (0.2, 0.4, 0.6, 0.8)
_LEAST_ROWS = 20


@dataclass(frozen=True)
class Intervals:
    """Low and high of each user's spend, both within the interval."""

    low: Floats
    high: Floats

    def hold(self, spend: Floats) -> NDArray[np.bool_]:
        """Whether each user's spend lies within."""
        held: NDArray[np.bool_] = (self.low <= spend) & (spend <= self.high)
        return held


def interval_metrics(spend: Floats, intervals: Intervals) -> dict[str, Metric]:
    """Share covered of all users and of those who spent, and the interval score.

    The score is the mean width plus 2 / (1 - coverage) times the distance of what lies outside
    (Gneiting and Raftery, "Strictly Proper Scoring Rules", 2007); less is better.
    """
    held, spent = intervals.hold(spend), spend > 0
    below, above = np.maximum(intervals.low - spend, 0), np.maximum(spend - intervals.high, 0)
    price = 2.0 / (1.0 - COVERAGE)
    covered = mean(held.astype(np.float64))

    def among_buyers(weights: Floats) -> float:
        return covered(weights * spent)

    return {
        "coverage": covered,
        "coverage_of_buyers": among_buyers,
        "interval_score": mean(intervals.high - intervals.low + price * (below + above)),
    }


def cell_intervals(recency_and_orders: Floats, spend: Floats, of: Floats) -> Intervals:
    """The middle 90 % of what training users of the same recency and frequency spent.

    Args:
        recency_and_orders: [row, 2] of training rows, cut into fifths each.
        spend: Theirs.
        of: [row, 2] of the rows spoken of.
    """
    known, asked = np.nan_to_num(recency_and_orders), np.nan_to_num(of)
    edges = [np.unique(np.quantile(known[:, column], _CUTS)) for column in (0, 1)]

    def cell(rows: Floats) -> NDArray[np.intp]:
        first, second = (np.searchsorted(edges[column], rows[:, column]) for column in (0, 1))
        places: NDArray[np.intp] = first * (len(_CUTS) + 1) + second
        return places

    of_known, of_asked = cell(known), cell(asked)
    low, high = np.zeros(len(asked)), np.zeros(len(asked))
    tail = (1.0 - COVERAGE) / 2.0
    for each in np.unique(of_asked):
        inside = of_known == each
        source = spend[inside] if inside.sum() >= _LEAST_ROWS else spend
        low[of_asked == each], high[of_asked == each] = np.quantile(source, [tail, 1.0 - tail])
    return Intervals(low, high)
