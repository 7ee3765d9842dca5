"""Rows in memory and the order in which training sees them."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from shared.errors import InvalidArgumentError

NumpyArray = np.ndarray[Any, Any]
Augment = Callable[[dict[str, NumpyArray], NumpyArray, int, int], dict[str, NumpyArray]]
"""(inputs of a batch, their rows, seed, epoch) -> the inputs, changed; a pure function."""


@dataclass(frozen=True)
class Arrays:
    """Rows for training: inputs and targets by name, all of the same length.

    Args:
        weights: float32 weight of each row; ones when None.
        lengths: Steps of each row's sequences; rows of like length then share a batch.
        sequences: Inputs that `lengths` speaks of: [row, step, …], filled up at the end.
        augment: Changes the inputs of a batch that is fitted to, on the thread that makes it.
    """

    inputs: Mapping[str, NumpyArray]
    targets: Mapping[str, NumpyArray]
    weights: NumpyArray | None = None
    lengths: NumpyArray | None = None
    sequences: tuple[str, ...] = ()
    augment: Augment | None = None

    def __post_init__(self) -> None:
        """Refuse ragged rows and 64-bit numbers, which JAX would silently narrow."""
        named = {**self.inputs, **self.targets}
        if self.weights is not None:
            named["weights"] = self.weights
        if self.lengths is not None:
            named["lengths"] = self.lengths
        for name, array in named.items():
            if len(array) != len(self):
                raise InvalidArgumentError(
                    f"{name} has {len(array)} rows where {len(self)} are needed",
                    reason="ROW_COUNTS_DIFFER",
                    name=name,
                )
            if name != "lengths" and array.dtype in (np.float64, np.int64, np.uint64):
                raise InvalidArgumentError(
                    f"{name} is {array.dtype}; pass 32-bit numbers",
                    reason="DTYPE_TOO_WIDE",
                    name=name,
                    dtype=array.dtype,
                )

    def __len__(self) -> int:
        """Rows."""
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True)
class Batch:
    """Rows as one step takes them; filling rows have weight 0."""

    inputs: dict[str, NumpyArray]
    targets: dict[str, NumpyArray]
    weights: NumpyArray


@dataclass(frozen=True)
class Plan:
    """Which rows make a batch, and how many steps of their sequences it keeps.

    Args:
        draw: Seed and epoch of rows that are fitted to; None where they are only looked at.
    """

    rows: NumpyArray
    length: int | None = None
    draw: tuple[int, int] | None = None


def plan_epoch(arrays: Arrays, size: int, seed: int, epoch: int) -> list[Plan]:
    """The shuffled batches of an epoch: a function of the seed and the epoch alone."""
    shuffle = np.random.default_rng([seed, epoch])
    order = shuffle.permutation(len(arrays))
    plans = [replace(plan, draw=(seed, epoch)) for plan in _in_order(arrays, order, size)]
    if arrays.lengths is None:
        return plans
    return [plans[number] for number in shuffle.permutation(len(plans))]


def plan_in_order(arrays: Arrays, size: int) -> list[Plan]:
    """All rows once, in their order (within a bucket of lengths)."""
    return _in_order(arrays, np.arange(len(arrays)), size)


def _in_order(arrays: Arrays, order: NumpyArray, size: int) -> list[Plan]:
    if arrays.lengths is None:
        return [Plan(order[start : start + size]) for start in range(0, len(order), size)]
    longest = max((arrays.inputs[name].shape[1] for name in arrays.sequences), default=1)
    bucket = bucket_lengths(arrays.lengths, longest)[order]
    return [
        Plan(rows[start : start + size], int(length))
        for length in np.unique(bucket)
        for rows in [order[bucket == length]]
        for start in range(0, len(rows), size)
    ]


def bucket_lengths(lengths: NumpyArray, longest: int) -> NumpyArray:
    """The next power of two from 8 up, at most `longest`: few shapes, little filling.

    >>> bucket_lengths(np.array([1, 8, 9, 70]), 100).tolist()
    [8, 8, 16, 100]
    """
    powers = 8 * 2 ** np.ceil(np.log2(np.maximum(lengths, 8) / 8)).astype(np.int64)
    return np.minimum(powers, longest)


def take(arrays: Arrays, plan: Plan, size: int, part: slice = slice(None)) -> Batch:
    """A batch of exactly `size`; a short one is filled with its own rows at weight 0.

    Filling with real rows keeps batch statistics honest where zeros would not. Of the batch only
    `part` is read.
    """
    rows = plan.rows
    weights = np.zeros(size, np.float32)
    weights[: len(rows)] = 1.0 if arrays.weights is None else arrays.weights[rows]
    full = (rows if len(rows) == size else np.resize(rows, size))[part]

    def gather(name: str, array: NumpyArray) -> NumpyArray:
        cut = array[:, : plan.length] if name in arrays.sequences else array
        return np.take(cut, full, axis=0)

    inputs = {name: gather(name, array) for name, array in arrays.inputs.items()}
    if arrays.augment and plan.draw:
        inputs = arrays.augment(inputs, full, *plan.draw)
    return Batch(
        inputs,
        {name: np.take(array, full, axis=0) for name, array in arrays.targets.items()},
        weights[part],
    )


Item = TypeVar("Item")
Made = TypeVar("Made")


def ahead(make: Callable[[Item], Made], items: Iterable[Item], depth: int = 2) -> Iterator[Made]:
    """`map(make, items)`, made by a thread up to `depth` before they are asked for.

    An error in `make` is raised where its result would have come. Closing the iterator ends the
    thread.
    """
    made: queue.Queue[tuple[bool, Any]] = queue.Queue(depth)
    is_over = threading.Event()

    def put(entry: tuple[bool, Any]) -> bool:
        while not is_over.is_set():
            try:
                made.put(entry, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((True, make(item))):
                    return
            put((False, None))
        except BaseException as error:  # noqa: BLE001 - raised again by the consumer
            put((False, error))

    thread = threading.Thread(target=work, name="next-batch", daemon=True)
    thread.start()
    try:
        while True:
            has_value, value = made.get()
            if has_value:
                yield value
            elif value is None:
                return
            else:
                raise value
    finally:
        is_over.set()
        thread.join()
