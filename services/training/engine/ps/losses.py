"""The losses of steps, which come with the gradients so that neither is known without the other."""

from typing import Any

import numpy as np

_REMEMBERED = 100


class Losses:
    """Sums of the losses of micro-batches in their order, for the last steps.

    Args:
        parts: Micro-batches in a step.
        dtype: Type in which one device adds them.
    """

    def __init__(self, parts: int, dtype: np.dtype[Any]) -> None:
        self._parts, self._number = parts, dtype.type
        self._of_parts: dict[int, dict[int, float]] = {}
        self._totals: dict[int, float] = {}

    def add(self, step: int, part: int, loss: float) -> None:
        """The loss of a micro-batch; the same one may come often."""
        if step in self._totals:
            return
        known = self._of_parts.setdefault(step, {})
        known[part] = loss
        if len(known) == self._parts:
            total = self._number(0)
            for number in range(self._parts):
                total += self._number(known[number])
            self.put(step, float(total))
            del self._of_parts[step]

    def put(self, step: int, total: float) -> None:
        """The loss of a step, added up elsewhere."""
        self._totals[step] = total
        if len(self._totals) > _REMEMBERED:
            del self._totals[min(self._totals)]

    def total(self, step: int) -> float:
        """The loss of a step of which all micro-batches have come."""
        return self._totals[step]

    def between(self, first: int, end: int) -> dict[int, float]:
        """Losses of the steps from `first` up to `end` that are remembered."""
        return {step: loss for step, loss in self._totals.items() if first <= step < end}
