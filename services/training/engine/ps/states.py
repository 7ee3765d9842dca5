"""Ranges with their optimizer state as messages, and put together to the state of a fit."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine.ps.job import Job
from services.training.engine.ps.messages import Header, Kind
from services.training.engine.ps.partition import Vector
from services.training.engine.ps.rules import Rules, end_to_end, is_along
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


def send_state(
    connection: Connection,
    owner: int,
    kept: Kept,
    priority: int = LAST,
    key: object = None,
    number: int = 0,
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
        part=number,
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
    wholes = [_whole(job, vector, state) for vector in job.vectors]
    ranges = []
    for segment in job.segments:
        within = slice(segment.start, segment.start + segment.size)
        values, *leaves = [
            leaf[within] if is_along(leaf) else leaf for leaf in wholes[segment.vector]
        ]
        kept = Kept(segment.vector, segment.start, int(state.step), values, tuple(leaves))
        ranges.append((segment.owner, kept))
    return ranges


def joined(job: Job, fresh: TrainState, ranges: Iterable[Kept], step: int) -> TrainState:
    """The state of a fit from ranges that cover it; `fresh` gives its structure."""
    by_vector: dict[int, list[Kept]] = {}
    for kept in sorted(ranges, key=lambda kept: kept.start):
        by_vector.setdefault(kept.vector, []).append(kept)
    weights, optimizer = {}, {}
    for number, vector in enumerate(job.vectors):
        parts = [[part.values, *part.leaves] for part in by_vector[number]]
        values, *leaves = [end_to_end(*column) for column in zip(*parts, strict=True)]
        if vector.is_state:
            weights[vector.name] = jnp.asarray(values)
            continue
        start = 0
        for name, size in _members(job, vector):
            within = slice(start, start + size)
            start += size
            weights[name] = jnp.asarray(values[within])
            cut = [jnp.asarray(leaf[within] if is_along(leaf) else leaf) for leaf in leaves]
            structure = jax.tree.structure(fresh.optimizer[name])
            optimizer[name] = jax.tree.unflatten(structure, cut)
    return TrainState(weights, optimizer, jnp.asarray(step, jnp.int32))


def _whole(job: Job, vector: Vector, state: TrainState) -> list[NumpyArray]:
    """The values of a vector and the leaves of its optimizer's state, all layers end to end."""
    if vector.is_state:
        return [np.asarray(state.weights[vector.name])]
    columns = [
        [state.weights[name], *jax.tree.leaves(state.optimizer[name])]
        for name, _ in _members(job, vector)
    ]
    return [end_to_end(*map(np.asarray, column)) for column in zip(*columns, strict=True)]


def _members(job: Job, vector: Vector) -> list[tuple[str, int]]:
    """Name and size of each layer in a vector."""
    members = [job.layers[number] for number in vector.layers]
    return [(layer.name, layer.layout.size) for layer in members]
