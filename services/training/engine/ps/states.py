"""Ranges with their optimizer state as messages, and put together to the state of a fit."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine.ps.job import Job
from services.training.engine.ps.messages import Header, Kind
from services.training.engine.ps.rules import Rules
from services.training.engine.ps.transport import LAST, Connection
from services.training.engine.rows import NumpyArray
from services.training.engine.step import TrainState


@dataclass(frozen=True)
class Kept:
    """A range of a vector after `version` updates.

    Args:
        leaves: Optimizer state, in the order of its structure.
    """

    vector: int
    start: int
    version: int
    values: NumpyArray
    leaves: tuple[NumpyArray, ...] = ()


def is_along(leaf: Any) -> bool:
    """Whether a leaf of an optimizer's state has a number for each number of the range."""
    return np.ndim(leaf) == 1


def send_state(
    connection: Connection, owner: int, kept: Kept, priority: int = LAST, key: object = None
) -> None:
    """Send a range and its optimizer state, all arrays end to end."""
    body = b"".join(array.tobytes() for array in (kept.values, *kept.leaves))
    header = Header(
        Kind.STATE,
        priority=priority,
        owner=owner,
        vector=kept.vector,
        start=kept.start,
        size=len(kept.values),
        step=kept.version,
        body=len(body),
    )
    connection.send(header, body, key)


def read_state(rules: Rules, header: Header, body: memoryview) -> Kept:
    """The range in such a message; its arrays lie in the body."""
    template = jax.tree.leaves(rules.template(header.vector, header.size))
    arrays, offset = [], 0
    for shape, dtype in [((header.size,), rules.dtype), *((t.shape, t.dtype) for t in template)]:
        flat = np.frombuffer(body, dtype, math.prod(shape), offset)
        arrays.append(flat.reshape(shape))
        offset += flat.nbytes
    return Kept(header.vector, header.start, header.step, arrays[0], tuple(arrays[1:]))


def divided(job: Job, state: TrainState) -> list[tuple[int, Kept]]:
    """The state of a fit as (owner, range), a range for each segment."""
    ranges = []
    for segment in job.segments:
        vector = job.vectors[segment.vector]
        within = slice(segment.start, segment.start + segment.size)
        values = np.asarray(state.weights[vector.name])[within]
        leaves = [] if vector.is_state else jax.tree.leaves(state.optimizer[vector.name])
        cut = tuple(np.asarray(leaf)[within] if is_along(leaf) else leaf for leaf in leaves)
        kept = Kept(segment.vector, segment.start, int(state.step), values, cut)
        ranges.append((segment.owner, kept))
    return ranges


def joined(job: Job, fresh: TrainState, ranges: Iterable[Kept], step: int) -> TrainState:
    """The state of a fit from ranges that cover it; `fresh` gives its structure."""
    by_vector: dict[int, list[Kept]] = {}
    for kept in sorted(ranges, key=lambda kept: kept.start):
        by_vector.setdefault(kept.vector, []).append(kept)
    weights, optimizer = {}, {}
    for number, vector in enumerate(job.vectors):
        parts = by_vector[number]
        weights[vector.name] = jnp.asarray(np.concatenate([part.values for part in parts]))
        if not vector.is_state:
            leaves = [
                jnp.asarray(np.concatenate(column) if is_along(column[0]) else column[0])
                for column in zip(*(part.leaves for part in parts), strict=True)
            ]
            structure = jax.tree.structure(fresh.optimizer[vector.name])
            optimizer[vector.name] = jax.tree.unflatten(structure, leaves)
    return TrainState(weights, optimizer, jnp.asarray(step, jnp.int32))
