"""What a server keeps of one job: ranges of vectors, their optimizer state, sums under way."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import jax
import numpy as np

from services.training.engine.ps.job import Job
from services.training.engine.ps.rules import Rules, end_to_end, is_along
from services.training.engine.ps.states import Kept
from services.training.engine.ps.sums import OrderedSum
from services.training.engine.rows import NumpyArray

Array = jax.Array


@dataclass(frozen=True)
class Update:
    """A step that a range has had: the sum that was applied and what came of it.

    Args:
        piece: Numbers in the pieces that it came in; the last one may have been smaller.
    """

    step: int
    total: NumpyArray
    piece: int
    kept: Kept


@dataclass
class _Unit:
    """Numbers that are updated together."""

    start: int
    size: int
    values: Array
    optimizer: Any
    version: int
    done: set[int] = field(default_factory=set)
    sums: dict[int, OrderedSum] = field(default_factory=dict)
    previous: NumpyArray | None = None

    @property
    def end(self) -> int:
        return self.start + self.size

    @property
    def first_missing(self) -> int:
        """The first step that has not been applied."""
        return self.version - len(self.done)

    def has(self, step: int) -> bool:
        return step < self.first_missing or step in self.done


class Holdings:
    """Ranges that one server keeps; not for several threads at once.

    Steps are applied in order, but for a job without a bound on staleness.
    """

    def __init__(self, job: Job) -> None:
        self.rules = Rules(job)
        self._vectors = job.vectors
        self._parts = job.config.micro_batches
        self._is_ordered = job.sharing.staleness is not None
        self._units: dict[int, list[_Unit]] = {}

    @property
    def settled(self) -> int:
        """Every range has had all steps before this one."""
        steps = [unit.first_missing for units in self._units.values() for unit in units]
        return min(steps, default=0)

    def load(self, kept: Kept) -> None:
        """Take over a range; it replaces what it overlaps."""
        structure = jax.tree.structure(self.rules.template(kept.vector, len(kept.values)))
        values, leaves = jax.device_put((kept.values, list(kept.leaves)))
        optimizer = jax.tree.unflatten(structure, leaves)
        unit = _Unit(kept.start, len(kept.values), values, optimizer, kept.version)
        others = [u for u in self._units.get(kept.vector, []) if not _overlap(u, unit)]
        self._units[kept.vector] = sorted([*others, unit], key=lambda u: u.start)

    def add(
        self, vector: int, start: int, step: int, part: int, numbers: NumpyArray
    ) -> list[Update]:
        """Take in a piece of what a micro-batch gave; the updates that it completes, in order."""
        unit = self._unit(vector, start, len(numbers), step)
        if unit is None:
            return []
        if step not in unit.sums:
            unit.sums[step] = OrderedSum(unit.start, unit.size, self._parts)
        unit.sums[step].add(part, start, numbers)
        updates: list[Update] = []
        while (ready := self._ready(unit, step)) is not None:
            updates.append(Update(*ready, self._apply(vector, unit, *ready[:2])))
        return updates

    def repeat(self, vector: int, start: int, step: int, total: NumpyArray) -> None:
        """Apply a sum that the first server has applied, as the second server of the range."""
        unit = self._unit(vector, start, len(total), step)
        if unit is not None:
            self._apply(vector, unit, step, total)

    def values(self) -> Iterator[Kept]:
        """Every range's values, and before them those of one update ago."""
        for vector, units in self._units.items():
            for unit in units:
                if unit.previous is not None:
                    yield Kept(vector, unit.start, unit.version - 1, unit.previous)
                yield Kept(vector, unit.start, unit.version, np.asarray(unit.values))

    def states(self) -> Iterator[Kept]:
        """Every range with its optimizer state."""
        for vector, units in self._units.items():
            for unit in units:
                leaves = tuple(np.asarray(leaf) for leaf in jax.tree.leaves(unit.optimizer))
                yield Kept(vector, unit.start, unit.version, np.asarray(unit.values), leaves)

    def _unit(self, vector: int, start: int, size: int, step: int) -> _Unit | None:
        """The unit that such a piece belongs to; None when all of it has had the step."""
        touched = [
            unit
            for unit in self._units[vector]
            if (unit.start < start + size and start < unit.end) or unit.start == start
        ]
        if all(unit.has(step) for unit in touched):
            return None
        is_fitting = len(touched) == 1 and (
            self._vectors[vector].is_whole or (touched[0].start, touched[0].size) == (start, size)
        )
        return touched[0] if is_fitting else self._recut(vector, touched, start, size)

    def _recut(self, vector: int, touched: list[_Unit], start: int, size: int) -> _Unit:
        """Units with one of just that range among them: pieces have another size from now on."""
        if len({unit.version for unit in touched}) > 1 or any(unit.sums for unit in touched):
            raise RuntimeError(f"pieces of vector {vector} changed their size within a step")
        first, last = touched[0], touched[-1]
        joined = _joined(touched)
        edges = sorted({first.start, start, start + size, last.end})
        cut = [_part(joined, low, high) for low, high in pairwise(edges)]
        others = [unit for unit in self._units[vector] if unit not in touched]
        self._units[vector] = sorted([*others, *cut], key=lambda unit: unit.start)
        return next(unit for unit in cut if unit.start == start)

    def _ready(self, unit: _Unit, step: int) -> tuple[int, NumpyArray, int] | None:
        """A step that can be applied now, its sum and the size of its pieces."""
        next_step = unit.first_missing if self._is_ordered else step
        if next_step not in unit.sums:
            return None
        found = unit.sums[next_step]
        return None if found.total is None else (next_step, found.total, found.largest_piece)

    def _apply(self, vector: int, unit: _Unit, step: int, total: NumpyArray) -> Kept:
        unit.sums.pop(step, None)
        unit.previous = np.asarray(unit.values)
        unit.values, unit.optimizer = self.rules.apply(
            vector, unit.start, unit.values, unit.optimizer, total
        )
        unit.version += 1
        unit.done.add(step)
        while (oldest := unit.first_missing) in unit.done:
            unit.done.remove(oldest)
        return Kept(vector, unit.start, unit.version, np.asarray(unit.values))


def _overlap(one: _Unit, other: _Unit) -> bool:
    return (one.start < other.end and other.start < one.end) or one.start == other.start


def _joined(units: list[_Unit]) -> _Unit:
    """Adjacent units as one."""
    first = units[0]

    previous = [unit.previous for unit in units if unit.previous is not None]
    return _Unit(
        first.start,
        sum(unit.size for unit in units),
        jax.device_put(end_to_end(*(np.asarray(unit.values) for unit in units))),
        jax.tree.map(end_to_end, *(jax.tree.map(np.asarray, unit.optimizer) for unit in units)),
        first.version,
        set(first.done),
        previous=np.concatenate(previous) if len(previous) == len(units) else None,
    )


def _part(unit: _Unit, start: int, end: int) -> _Unit:
    """A part of a unit."""
    within = slice(start - unit.start, end - unit.start)
    values, optimizer = jax.device_put(
        (
            np.asarray(unit.values)[within],
            jax.tree.map(lambda leaf: leaf[within] if is_along(leaf) else leaf, unit.optimizer),
        )
    )
    previous = None if unit.previous is None else unit.previous[within]
    return _Unit(
        start, end - start, values, optimizer, unit.version, set(unit.done), previous=previous
    )
