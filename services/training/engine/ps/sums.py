"""Sums over micro-batches in their order, whoever computed them and whenever they arrive."""

from typing import Any

import numpy as np

from services.training.engine.ps.memory import aligned
from services.training.engine.rows import NumpyArray


class OrderedSum:
    """((p0 + p1) + p2) + … of one range and step; what comes twice counts once.

    Args:
        start: Place of the range in its vector.
        size: Numbers in the range; contributions may come in pieces of it.
        parts: Micro-batches in a step.
    """

    def __init__(self, start: int, size: int, parts: int) -> None:
        self._start, self._size, self._parts = start, size, parts
        self.largest_piece = 0
        self._next = 0
        self._total: NumpyArray | None = None
        self._waiting: dict[int, _Assembly] = {}

    @property
    def total(self) -> NumpyArray | None:
        """The sum, when every micro-batch is in it."""
        return self._total if self._next == self._parts else None

    def add(self, part: int, start: int, numbers: NumpyArray) -> None:
        """Take in a piece of what a micro-batch gave; `numbers` is not changed, but kept."""
        if part < self._next:
            return
        self.largest_piece = max(self.largest_piece, len(numbers))
        if part not in self._waiting:
            self._waiting[part] = _Assembly(self._size)
        self._waiting[part].add(start - self._start, numbers)
        while self._next in self._waiting and self._waiting[self._next].is_whole:
            whole = self._waiting.pop(self._next).whole()
            if self._total is None:
                self._total = whole
            elif self._next == 1:  # the first summand belongs to who gave it
                self._total = np.add(self._total, whole, out=aligned(self._size, whole.dtype))
            else:
                self._total += whole
            self._next += 1


class _Assembly:
    def __init__(self, size: int) -> None:
        self._size = size
        self._pieces: dict[int, NumpyArray] = {}

    def add(self, start: int, numbers: NumpyArray) -> None:
        self._pieces.setdefault(start, numbers)

    @property
    def is_whole(self) -> bool:
        return sum(len(piece) for piece in self._pieces.values()) == self._size

    def whole(self) -> NumpyArray:
        if len(self._pieces) == 1:
            return self._pieces[0]
        dtype: np.dtype[Any] = self._pieces[0].dtype
        joined = aligned(self._size, dtype)
        for start, piece in self._pieces.items():
            joined[start : start + len(piece)] = piece
        return joined
