"""Whether probabilities hold: their error over bins of equal size, and what chance alone makes."""

import numpy as np
from numpy.typing import NDArray

from services.training.evaluation.ranking import Floats, Metric

BINS = 10


def equal_mass_error(labels: NDArray[np.bool_], probabilities: Floats, bins: int = BINS) -> Metric:
    """Mean distance between predicted and seen rates, over bins of equally many rows.

    >>> equal_mass_error(np.array([False, True]), np.array([0.25, 0.5]), 2)(np.ones(2))
    0.375
    """
    place = np.empty(len(labels), np.int64)
    order = np.argsort(probabilities, kind="stable")
    place[order] = np.arange(len(labels)) * bins // max(len(labels), 1)
    gap: Floats = labels - probabilities.astype(np.float64)

    def metric(weights: Floats) -> float:
        total = float(weights.sum())
        gaps = np.bincount(place, weights=weights * gap, minlength=bins)
        return float(np.abs(gaps).sum()) / total if total else float("nan")

    return metric


def chance_limit(probabilities: Floats, *, samples: int, seed: int, bins: int = BINS) -> float:
    """The error that a perfectly calibrated model with these predictions exceeds once in twenty.

    Args:
        probabilities: What was predicted.
        samples: Sets of answers drawn from it.
        seed: Of the draws.
        bins: As of the error.
    """
    draw, once = np.random.default_rng(seed), np.ones(len(probabilities))
    errors = [
        equal_mass_error(draw.random(len(probabilities)) < probabilities, probabilities, bins)(once)
        for _ in range(samples)
    ]
    return float(np.quantile(errors, 0.95))
