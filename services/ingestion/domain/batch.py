"""A stretch of a source, as its reader hands it over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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
class Batch:
    """Rows of a source and their original bytes."""

    table: pa.Table
    """Columns as the source names them, or the one column `json`."""
    rows: pa.Array
    """Place of each row in the source, from 0."""
    payloads: Callable[[Sequence[int]], list[bytes]]
    """Original bytes of the rows at some places of the table."""
    broken: Sequence[Broken] = field(default_factory=tuple)

    @property
    def row_count(self) -> int:
        """Rows of the source, broken ones included."""
        return int(self.table.num_rows) + len(self.broken)
