"""Rows in memory and the order in which training sees them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.errors import InvalidArgumentError

NumpyArray = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Arrays:
    """Rows for training: inputs and targets by name, all of the same length.

    Args:
        weights: float32 weight of each row; ones when None.
    """

    inputs: Mapping[str, NumpyArray]
    targets: Mapping[str, NumpyArray]
    weights: NumpyArray | None = None

    def __post_init__(self) -> None:
        """Refuse ragged rows and float64, which JAX would silently narrow."""
        named = {**self.inputs, **self.targets}
        if self.weights is not None:
            named["weights"] = self.weights
        for name, array in named.items():
            if len(array) != len(self):
                raise InvalidArgumentError(
                    f"{name} has {len(array)} rows where {len(self)} are needed",
                    reason="ROW_COUNTS_DIFFER",
                    name=name,
                )
            if array.dtype in (np.float64, np.int64, np.uint64):
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


def epoch_order(count: int, seed: int, epoch: int) -> NumpyArray:
    """The shuffled row numbers of an epoch, a function of the seed and the epoch alone."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def take(arrays: Arrays, rows: NumpyArray, size: int) -> Batch:
    """A batch of exactly `size`; a short one is filled with its own rows at weight 0.

    Filling with real rows keeps batch statistics honest where zeros would not.
    """
    weights = np.zeros(size, np.float32)
    weights[: len(rows)] = 1.0 if arrays.weights is None else arrays.weights[rows]
    full = rows if len(rows) == size else np.resize(rows, size)
    return Batch(
        {name: np.take(array, full, axis=0) for name, array in arrays.inputs.items()},
        {name: np.take(array, full, axis=0) for name, array in arrays.targets.items()},
        weights,
    )


def batches(arrays: Arrays, order: NumpyArray, size: int) -> Iterator[Batch]:
    """All rows in that order, `size` at a time."""
    for start in range(0, len(order), size):
        yield take(arrays, order[start : start + size], size)
