"""A stretch of a source, as its reader hands it over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.ingestion.domain.reasons import Reason

JSON_COLUMN = "json"
"""The one column of sources whose rows are whole JSON objects."""


@dataclass(frozen=True)
class Broken:
    """A row that could not even be taken apart."""

    row: int
    reason: Reason
    field: str
    payload: bytes


@dataclass(frozen=True)
class Arrivals:
    """What the bus says of the rows of a batch, whose places are offsets."""

    streams: pa.Array
    """Partition of each row, as text."""
    message_ids: pa.Array
    """Ids for events that name none."""
    milliseconds: npt.NDArray[np.int64]
    """When each row became known."""


@dataclass(frozen=True)
class Batch:
    """Rows of a source and their original bytes."""

    table: pa.Table
    """Columns as the source names them, or the one column `json`."""
    rows: pa.Array
    """Place of each row in the source, from 0; for the bus its offset."""
    payloads: Callable[[Sequence[int]], list[bytes]]
    """Original bytes of the rows at some places of the table."""
    broken: Sequence[Broken] = field(default_factory=tuple)
    arrivals: Arrivals | None = None
    """For rows that came over the bus."""

    @property
    def row_count(self) -> int:
        """Rows of the source, broken ones included."""
        return int(self.table.num_rows) + len(self.broken)
