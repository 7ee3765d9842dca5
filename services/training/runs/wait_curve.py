"""How long until it happens, as chances by time: the hazard of each part of the horizon.

The horizon is cut into equal parts; of each the network says how likely the event is in it for who
has waited that long (discrete-time survival: Singer and Willett, "It's about time", Journal of
Educational Statistics 18, 1993). Who waited through the horizon counts in every part.
"""

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine import Objective
from services.training.models import HeadSpec
from services.training.runs.rows import NumpyArray

Array = jax.Array

PARTS = 12
"""Equal parts of the horizon; thirds of it end with one."""

HEADS = (HeadSpec("hazard", 3),)

LEVELS = (0.1, 0.5, 0.9)
"""By when it has happened with this chance: an interval of 80 % around the median."""

_LEAST = 1e-6


def shapes() -> NumpyArray:
    """What a network may add to the logit of each part: a level, a slope and a bend. [3, part].

    >>> shapes()[:2, [0, -1]].tolist()
    [[1.0, 1.0], [-1.0, 1.0]]
    """
    place = np.linspace(-1.0, 1.0, PARTS)
    return np.stack([np.ones(PARTS), place, place**2 - 1.0 / 3.0]).astype(np.float32)


def parts_of(days: NumpyArray, horizon_days: int) -> NumpyArray:
    """The part in which it happened; `PARTS` where the horizon passed without.

    >>> parts_of(np.array([0.0, 7.5, 89.9, np.nan]), 90).tolist()
    [0, 1, 11, 12]
    """
    is_known = np.isfinite(days)
    part = np.floor(np.where(is_known, days, 0.0) * PARTS / horizon_days).astype(np.int64)
    # A day of 25 hours may end a horizon an hour late.
    return np.where(is_known, np.minimum(part, PARTS - 1), PARTS)


def base_logits(parts: NumpyArray, weights: NumpyArray) -> NumpyArray:
    """Logit of each part's hazard over all rows; half an event is added on either side."""
    happened = np.bincount(parts, weights, PARTS + 1)[:PARTS]
    waiting = weights.sum() - np.concatenate([[0.0], np.cumsum(happened)[:-1]])
    logits: NumpyArray = np.log((happened + 0.5) / (waiting - happened + 0.5))
    return logits.astype(np.float32)


def hazard_logits(output: Array, base: Array) -> Array:
    """Logit of each part's hazard [row, part] of what the head says."""
    logits: Array = base[None, :] + output @ jnp.asarray(shapes())
    return logits


def objective(base: NumpyArray) -> Objective:
    """Minus the log likelihood of each row's part, over hazards that start from the base."""

    def loss(outputs: dict[str, Array], wanted: dict[str, Array], weights: Array) -> Array:
        logits = hazard_logits(outputs["hazard"], jnp.asarray(base))
        place, part = jnp.arange(PARTS)[None, :], wanted["part"][:, None]
        passed = jnp.where(place <= part, jax.nn.softplus(logits), 0.0)
        happened = jnp.where(place == part, logits, 0.0)
        return weights * (passed - happened).sum(axis=1)

    return loss


def chance_logits(hazards: Array) -> Array:
    """Logit of the chance that it has happened by the end of each part; rises along a row."""
    log_left = -jnp.cumsum(jax.nn.softplus(hazards), axis=1)
    return jnp.log(jnp.maximum(-jnp.expm1(log_left), _LEAST)) - log_left


def moved(logits: Array, level: Array) -> Array:
    """The chances [row, part] whose last has this logit, the odds of all moved by one factor."""
    chances: Array = jax.nn.sigmoid(logits - logits[:, -1:] + level[:, None])
    return chances


def days_at(chances: Array, level: float, horizon_days: float) -> Array:
    """Days by which it has happened with this chance; NaN where that is after the horizon.

    >>> days_at(jnp.linspace(0.05, 0.6, PARTS)[None, :], 0.5, 120.0).tolist()
    [100.0]
    """
    before = jnp.pad(chances[:, :-1], ((0, 0), (1, 0)))
    part = (chances < level).sum(axis=1)
    place = jnp.minimum(part, PARTS - 1)[:, None]
    low = jnp.take_along_axis(before, place, axis=1)[:, 0]
    high = jnp.take_along_axis(chances, place, axis=1)[:, 0]
    within = (level - low) / jnp.maximum(high - low, _LEAST)
    days = horizon_days * (part + jnp.clip(within, 0.0, 1.0)) / PARTS
    return jnp.where(part < PARTS, days, jnp.nan)
