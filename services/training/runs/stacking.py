"""What each voice of an ensemble counts, fitted on rows that none of them was fitted to."""

from typing import Any

import numpy as np
from scipy.optimize import minimize

NumpyArray = np.ndarray[Any, Any]

_PRIOR_ROWS = 20.0
"""How many rows' worth of belief there is that all voices count the same."""


def fit_stack(logits: NumpyArray, labels: NumpyArray) -> NumpyArray:
    """Weights of voices, none below 0, and an intercept: the last number.

    The sum is a calibrated logit: its weights need not add up to 1.

    Args:
        logits: Of rows that judge: [row, voice].
        labels: The answers.
    """
    wanted, count = labels.astype(np.float64), logits.shape[1]
    even = np.append(np.full(count, 1.0 / count), 0.0)
    design = np.column_stack([logits.astype(np.float64), np.ones(len(logits))])
    prior = _PRIOR_ROWS / len(logits)

    def loss(weights: NumpyArray) -> tuple[float, NumpyArray]:
        z = design @ weights
        away = (weights - even) * (np.arange(count + 1) < count)
        value = (np.logaddexp(0.0, z) - wanted * z).mean() + prior * (away**2).sum()
        error = 1.0 / (1.0 + np.exp(-z)) - wanted
        return float(value), design.T @ error / len(design) + 2.0 * prior * away

    bounds = [(0.0, 5.0)] * count + [(-8.0, 8.0)]
    found: NumpyArray = minimize(loss, even, jac=True, method="L-BFGS-B", bounds=bounds).x
    return found
