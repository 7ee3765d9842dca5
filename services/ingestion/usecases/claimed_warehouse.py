"""A warehouse in which streams are written by those who claimed them."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

import pyarrow as pa

from shared.warehouse import Warehouse
from shared.warehouse.claims import ClaimedTables
from shared.warehouse.port import NO_PARAMETERS

FENCED_TABLES = ("events", "events_rejected", "stream_positions")
"""Tables in which a second writer of a stream would do harm."""


class ClaimedWarehouse:
    """A `Warehouse` whose writes of streams take effect only under the highest claims.

    Args:
        warehouse: What to write to.
        owner: Name of the writer; letters and digits, unique for each start.
    """

    def __init__(self, warehouse: Warehouse, owner: str) -> None:
        self._warehouse, self.owner = warehouse, owner
        self._tables = ClaimedTables(warehouse, owner)

    def under(self, epochs: Mapping[str, int]) -> AbstractContextManager[None]:
        """Write under the claims of some streams, by their epochs."""
        return self._tables.under(epochs)

    def execute(self, sql: str, parameters: Mapping[str, object] = NO_PARAMETERS) -> None:
        """See `Warehouse.execute`."""
        self._warehouse.execute(sql, parameters)

    def insert(self, table: str, rows: pa.Table) -> int:
        """See `Warehouse.insert`; of fenced tables also `ClaimedTables.insert`."""
        if table not in FENCED_TABLES:
            return self._warehouse.insert(table, rows)
        self._tables.insert(table, rows)
        return int(rows.num_rows)

    def query(self, sql: str, parameters: Mapping[str, object] = NO_PARAMETERS) -> pa.Table:
        """See `Warehouse.query`."""
        return self._warehouse.query(sql, parameters)

    def stream(
        self,
        sql: str,
        parameters: Mapping[str, object] = NO_PARAMETERS,
        *,
        max_rows: int = 65_536,
    ) -> Iterator[pa.RecordBatch]:
        """See `Warehouse.stream`."""
        return self._warehouse.stream(sql, parameters, max_rows=max_rows)

    def close(self, grace_seconds: float = 10.0) -> None:  # noqa: ARG002 - the lender closes it
        """Drop this owner's tables; the warehouse stays open."""
        self._tables.close()

    def forget(self) -> None:
        """Begin with empty tables after a failure, which may have left rows in them."""
        self._tables.forget()
