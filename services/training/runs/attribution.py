"""Why a user scores as they do: contributions to the calibrated active logit that add up to it.

Networks and straight lines: integrated gradients (Sundararajan, Taly and Yan, "Axiomatic
Attribution for Deep Networks", 2017). The path runs in the space of the network's inputs from the
training mean to the user. Near the mean a normalised network turns sharply, so the Gauss-Legendre
nodes crowd there: they are even in the cube root of the way.

The customer-base models read so few columns that their Shapley values are computed outright, from
the same mean to the user.
"""

from collections.abc import Callable
from itertools import product
from math import factorial

import jax
import jax.numpy as jnp
import numpy as np

from services.training.runs.answer import (
    Network,
    Weights,
    history_inputs,
    history_logit,
    learned_logit,
    network_inputs,
)

Array = jax.Array
Learned = Callable[[Network, Weights, Array], Array]
NODES = 48


def attribute(
    network: Network, learned: Learned = learned_logit, nodes: int = NODES
) -> Callable[..., dict[str, Array]]:
    """The program (weights, features) -> contributions, logit and the baseline's logit.

    Contributions and `baseline_logit` add up to `logit`. A feature's contribution includes that of
    the column which says whether it is missing.

    Args:
        network: The ensemble's shape.
        learned: What networks and straight lines have in the logit, from the networks' inputs.
        nodes: Places on the path at which slopes are taken.
    """
    points, parts = np.polynomial.legendre.leggauss(nodes)
    root = 0.5 * (points + 1.0)
    steps = np.stack([root**3, 1.5 * root**2 * parts], axis=1).astype(np.float32)

    def run(weights: Weights, features: Array) -> dict[str, Array]:
        inputs = network_inputs(network, weights, features)
        baseline = _baseline(weights, features.shape[1])
        away = inputs - baseline[None, :]
        slope = jax.grad(lambda x: learned(network, weights, x).sum())

        def add(total: Array, step: Array) -> tuple[Array, None]:
            return total + step[1] * slope(baseline[None, :] + step[0] * away), None

        mean_slope, _ = jax.lax.scan(add, jnp.zeros_like(away), jnp.asarray(steps))
        contributions = _by_feature(mean_slope * away, network.flagged, features.shape[1])
        logit = learned(network, weights, inputs)
        baseline_logit = learned(network, weights, baseline[None, :])[0]
        if network.history:

            def by_history(rows: Array) -> Array:
                return history_logit(network, weights, rows)

            mean = history_inputs(network, baseline[None, :])
            own = history_inputs(network, inputs)
            columns = np.asarray(network.history, np.int32)
            contributions = contributions.at[:, columns].add(shapley(by_history, mean, own))
            logit = logit + by_history(own)
            baseline_logit = baseline_logit + by_history(mean)[0]
        return {
            "contributions": contributions,
            "logit": logit,
            "baseline_logit": baseline_logit,
        }

    return run


def shapley(value: Callable[[Array], Array], mean: Array, rows: Array) -> Array:
    """Shapley value of each column on the way from one row to others, by all subsets of columns.

    Args:
        value: A number for each row.
        mean: [1, column], where the way begins.
        rows: [row, column], where it ends; a handful of columns.

    >>> two = shapley(lambda x: x[:, 0] * x[:, 1], jnp.zeros((1, 2)), jnp.array([[2.0, 3.0]]))
    >>> two.tolist()
    [[3.0, 3.0]]
    """
    count = rows.shape[1]
    values = {
        chosen: value(jnp.where(np.array(chosen)[None, :], rows, mean))
        for chosen in product((False, True), repeat=count)
    }
    columns = []
    for column in range(count):
        total = jnp.zeros(rows.shape[0])
        for chosen in values:
            if chosen[column]:
                continue
            joined = (*chosen[:column], True, *chosen[column + 1 :])
            size = sum(chosen)
            orders = factorial(size) * factorial(count - size - 1) / factorial(count)
            total = total + orders * (values[joined] - values[chosen])
        columns.append(total)
    return jnp.stack(columns, axis=1)


def _baseline(weights: Weights, feature_count: int) -> Array:
    """The training mean of every input: 0 for standardised columns, the rate for flags."""
    return jnp.concatenate([jnp.zeros(feature_count), weights["scaling/flag_rate"]])


def _by_feature(contributions: Array, flagged: tuple[int, ...], feature_count: int) -> Array:
    own = contributions[:, :feature_count]
    if not flagged:
        return own
    columns = np.asarray(flagged, np.int32)
    return own.at[:, columns].add(contributions[:, feature_count:])
