"""What each voice of an ensemble counts, fitted on rows that none of them was fitted to."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]

_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Where the straight line from a logit to its calibrated one may bend."""

_MOST_BEND = 1.5
"""Of the logarithm of a slope."""

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


@dataclass(frozen=True)
class Bend:
    """A rising line of straight pieces from a logit to a calibrated one.

    Attributes:
        knots: Logits at which it bends, ascending.
        slopes: Of each piece, one more than knots, all above 0.
        start: Its value at the logit 0 if the first piece went on for ever.
    """

    knots: NumpyArray
    slopes: NumpyArray
    start: float


def fit_bend(logits: NumpyArray, labels: NumpyArray) -> Bend:
    """Make probabilities right at every level, also where one slope for all cannot.

    Slopes are believed to be 1 with the weight of a few rows each, so that small data bend little.
    """
    knots = np.unique(np.quantile(logits, _QUANTILES))
    wanted, count = labels.astype(np.float64), len(knots) + 1
    edges = np.concatenate([[-np.inf], knots, [np.inf]])
    # Of each logit the part that lies in each piece: slopes times parts add up to the line.
    parts = np.clip(logits[:, None], edges[None, :-1], edges[None, 1:])
    parts[:, 1:] -= knots[None, :]
    prior = _PRIOR_ROWS / len(logits)

    def loss(parameters: NumpyArray) -> tuple[float, NumpyArray]:
        slopes = np.exp(parameters[:count])
        z = parts @ slopes + parameters[count]
        value = (np.logaddexp(0.0, z) - wanted * z).mean()
        value += prior * (parameters[:count] ** 2).sum()
        error = 1.0 / (1.0 + np.exp(-z)) - wanted
        by_slope = parts.T @ error / len(logits) * slopes + 2.0 * prior * parameters[:count]
        return float(value), np.append(by_slope, error.mean())

    bounds = [(-_MOST_BEND, _MOST_BEND)] * count + [(-8.0, 8.0)]
    found = minimize(loss, np.zeros(count + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    return Bend(knots, np.exp(found[:count]), float(found[count]))


def bent(logits: Array, knots: Array, slopes: Array, start: Array) -> Array:
    """Calibrated logits, in the program.

    >>> bent(jnp.array([0.0, 3.0]), jnp.array([1.0]), jnp.array([1.0, 2.0]), 0.5).tolist()
    [0.5, 5.5]
    """
    past = jnp.maximum(logits[:, None] - knots[None, :], 0.0)
    return start + slopes[0] * logits + past @ (slopes[1:] - slopes[:-1])
