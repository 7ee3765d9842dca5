"""Preprocessing fitted on training rows: signed log, standardising, clipping, missing values."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.runs.rows import Steps

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]

LIMIT = 6.0
"""Standardised values are cut here, so that one wild value cannot lead a prediction astray."""

_LEAST_MISSING_SHARE = 0.001


@dataclass(frozen=True)
class Scaling:
    """Which numbers bring raw features to the network's inputs.

    Inputs are the standardised features, then a 0/1 column for each feature in `flagged` that says
    whether it is missing. A missing value becomes 0, which is the training mean.
    """

    centre: NumpyArray
    spread: NumpyArray
    flagged: tuple[int, ...]
    flag_rate: NumpyArray
    """Share of training rows in which each flagged feature is missing."""

    @property
    def width(self) -> int:
        """Number of network inputs."""
        return len(self.centre) + len(self.flagged)


def fit_scaling(features: NumpyArray, steps: Steps = ()) -> Scaling:
    """Fit on raw rows; NaN is missing.

    The steps of a sequence are scaled alike, so that a number means the same at each of them, and
    flagged by their first column.
    """
    bent = _bend_numpy(features)
    missing = np.isnan(bent)
    counts = np.maximum((~missing).sum(axis=0), 1)
    centre = np.nansum(bent, axis=0, dtype=np.float64) / counts
    spread = np.sqrt(np.nansum((bent - centre) ** 2, axis=0, dtype=np.float64) / counts)
    for alike in map(list, zip(*steps, strict=True)):
        values = bent[:, alike][~missing[:, alike]]
        centre[alike], spread[alike] = (values.mean(), values.std()) if len(values) else (0.0, 0.0)
    rates = missing.mean(axis=0)
    is_flagged = rates > _LEAST_MISSING_SHARE
    for step in steps:
        is_flagged[list(step)] = False
        is_flagged[step[0]] = True
    flagged = tuple(int(i) for i in np.flatnonzero(is_flagged))
    return Scaling(
        centre=centre.astype(np.float32),
        spread=np.where(spread < 1e-6, 1.0, spread).astype(np.float32),
        flagged=flagged,
        flag_rate=rates[list(flagged)].astype(np.float32),
    )


def scale(features: Array, centre: Array, spread: Array, flagged: tuple[int, ...]) -> Array:
    """Raw float32 rows to network inputs; infinities count as missing.

    >>> scale(jnp.array([[0.0, jnp.nan]]), jnp.zeros(2), jnp.ones(2), (1,)).tolist()
    [[0.0, 0.0, 1.0]]
    """
    is_missing = ~jnp.isfinite(features)
    bent = jnp.sign(features) * jnp.log1p(jnp.abs(features))
    standard = jnp.clip((bent - centre[None, :]) / spread[None, :], -LIMIT, LIMIT)
    kept = jnp.where(is_missing, 0.0, standard)
    flags = is_missing[:, np.asarray(flagged, np.int32)].astype(jnp.float32)
    return jnp.concatenate([kept, flags], axis=1)


def unscale(inputs: Array, centre: Array, spread: Array) -> Array:
    """Raw values of network inputs; what was missing comes back as the mean.

    >>> round(float(unscale(jnp.array([[1.0]]), jnp.zeros(1), jnp.ones(1))[0, 0]), 4)
    1.7183
    """
    bent = inputs * spread[None, :] + centre[None, :]
    return jnp.sign(bent) * jnp.expm1(jnp.abs(bent))


def scale_rows(features: NumpyArray, scaling: Scaling) -> NumpyArray:
    """Network inputs of rows held in memory, by the very function that is exported."""
    run = jax.jit(scale, static_argnums=3)
    return np.asarray(run(features, scaling.centre, scaling.spread, scaling.flagged))


def _bend_numpy(features: NumpyArray) -> NumpyArray:
    finite = np.where(np.isfinite(features), features, np.nan).astype(np.float64)
    bent: NumpyArray = np.sign(finite) * np.log1p(np.abs(finite))
    return bent
