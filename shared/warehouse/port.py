"""The ability that every room needs of a ClickHouse, in five methods."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

import pyarrow as pa

NO_PARAMETERS: Mapping[str, object] = MappingProxyType({})


class WarehouseQueryError(RuntimeError):
    """The engine refused a statement that Oriel wrote.

    Not a domain error on purpose: a wrong statement is a bug of ours that no caller can mend, and
    its text may hold values of users. Services log it and answer "internal error".

    Args:
        message: What the engine said.
        code: The engine's error number, 0 where it gave none.
    """

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class Warehouse(Protocol):
    """A ClickHouse database that many threads may use at once.

    Statements name parameters in ClickHouse's own way, `{name:Type}`, and never carry values in
    their text. A value is a str, bool, int, float, date, aware datetime, UUID, Decimal, None, or a
    sequence or mapping of these. All times are UTC.

    Failures that a person can mend are domain errors: ResourceExhaustedError (memory, time or
    disk), UnavailableError (closed, or the server is away), CancelledError. Anything else the
    engine refuses is a `WarehouseQueryError`.
    """

    def execute(self, sql: str, parameters: Mapping[str, object] = NO_PARAMETERS) -> None:
        """Run a statement that returns no rows."""

    def insert(self, table: str, rows: pa.Table) -> int:
        """Append rows, matched to the table's columns by name; returns how many.

        Columns that are left out get their default. At most a million rows go in as one block, and
        a block is all there or not there at all within each partition it touches.

        Raises:
            InvalidArgumentError: A column is unknown, has nulls where the table takes none, or
                holds a value that its type cannot; the message names it. Nothing was stored.
        """

    def query(self, sql: str, parameters: Mapping[str, object] = NO_PARAMETERS) -> pa.Table:
        """Return the rows of a statement; an empty answer still has its columns and types."""

    def stream(
        self,
        sql: str,
        parameters: Mapping[str, object] = NO_PARAMETERS,
        *,
        max_rows: int = 65_536,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows in batches of at most `max_rows`, in bounded memory.

        An empty answer is one empty batch, so that the schema is always known. Dropping the
        iterator before its end stops the statement.
        """

    def close(self, grace_seconds: float = 10.0) -> None:
        """Refuse new statements, let running ones end for a while, stop the rest, let go.

        Closing twice is closing once.
        """
