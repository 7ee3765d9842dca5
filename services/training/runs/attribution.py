"""Why a user scores as they do: integrated gradients of the calibrated active logit.

Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks" (2017). The path runs in the
space of the network's inputs from the training mean to the user. Near the mean a normalised network
turns sharply, so the Gauss-Legendre nodes crowd there: they are even in the cube root of the way.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from services.training.runs.answer import Network, Weights, active_logit, network_inputs

Array = jax.Array
NODES = 48


def attribute(network: Network, nodes: int = NODES) -> Callable[..., dict[str, Array]]:
    """The program (weights, features) -> contributions, logit and the baseline's logit.

    Contributions and `baseline_logit` add up to `logit`. A feature's contribution includes that of
    the column which says whether it is missing.
    """
    points, parts = np.polynomial.legendre.leggauss(nodes)
    root = 0.5 * (points + 1.0)
    steps = np.stack([root**3, 1.5 * root**2 * parts], axis=1).astype(np.float32)

    def run(weights: Weights, features: Array) -> dict[str, Array]:
        inputs = network_inputs(network, weights, features)
        baseline = _baseline(weights, features.shape[1])
        away = inputs - baseline[None, :]
        slope = jax.grad(lambda x: active_logit(network, weights, x).sum())

        def add(total: Array, step: Array) -> tuple[Array, None]:
            return total + step[1] * slope(baseline[None, :] + step[0] * away), None

        mean_slope, _ = jax.lax.scan(add, jnp.zeros_like(away), jnp.asarray(steps))
        contributions = _by_feature(mean_slope * away, network.flagged, features.shape[1])
        return {
            "contributions": contributions,
            "logit": active_logit(network, weights, inputs),
            "baseline_logit": active_logit(network, weights, baseline[None, :])[0],
        }

    return run


def _baseline(weights: Weights, feature_count: int) -> Array:
    """The training mean of every input: 0 for standardised columns, the rate for flags."""
    return jnp.concatenate([jnp.zeros(feature_count), weights["scaling/flag_rate"]])


def _by_feature(contributions: Array, flagged: tuple[int, ...], feature_count: int) -> Array:
    own = contributions[:, :feature_count]
    if not flagged:
        return own
    columns = np.asarray(flagged, np.int32)
    return own.at[:, columns].add(contributions[:, feature_count:])
