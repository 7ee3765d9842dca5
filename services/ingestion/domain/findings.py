"""Collects the first fault of each row while a batch is validated column by column."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.ingestion.domain.reasons import Reason

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fault:
    """Why one row of a batch cannot be stored."""

    index: int
    """Place in the batch, from 0."""
    reason: Reason
    field: str
    """Offending field as the source names it."""
    value: str | None
    """Offending text, never to be stored as it is."""


class Findings:
    """The rows of a batch that are good so far, and the first fault of each that is not."""

    def __init__(self, row_count: int) -> None:
        self.is_good: Mask = np.ones(row_count, dtype=np.bool_)
        self._faults: list[Fault] = []

    def reject(
        self, is_bad: Mask, reason: Reason, field: str, values: pa.Array | None = None
    ) -> None:
        """Mark rows as bad unless an earlier rule did; `values` are the offending ones by row."""
        places = np.flatnonzero(is_bad & self.is_good)
        if not places.size:
            return
        self.is_good[places] = False
        shown = [None] * len(places) if values is None else _texts(values, places)
        self._faults.extend(
            Fault(place, reason, field, value)
            for place, value in zip(places.tolist(), shown, strict=True)
        )

    def faults(self) -> list[Fault]:
        """Return the faults in the order of the rows."""
        return sorted(self._faults, key=lambda fault: fault.index)


def _texts(values: pa.Array, places: npt.NDArray[np.int64]) -> list[str | None]:
    taken = values.take(pa.array(places))
    if not pa.types.is_string(taken.type):
        taken = pc.cast(taken, pa.string(), safe=False)
    texts: list[str | None] = taken.to_pylist()
    return texts
