"""A warehouse on a server that may come up after the process that asks it."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import pyarrow as pa

from shared.config.variables import WarehouseAddress
from shared.errors import DomainError, UnavailableError
from shared.warehouse.failures import closed
from shared.warehouse.port import NO_PARAMETERS, Warehouse
from shared.warehouse.server import connect

Prepare = Callable[[Warehouse], object]


def await_server(address: WarehouseAddress, prepare: Prepare) -> "AwaitedWarehouse":
    """Return the warehouse of a server; nobody is asked before `AwaitedWarehouse.check`.

    Args:
        address: Where the server is.
        prepare: Sees to it that the tables are there: `migrate` or `require_migrated`.
    """
    return AwaitedWarehouse(partial(connect, **vars(address)), prepare)


class AwaitedWarehouse:
    """A `Warehouse` that is opened by `check` and refuses every statement until then.

    Args:
        connect: Connects to the server.
        prepare: Sees to it that the tables are there. Both raise a `DomainError` while they cannot.
    """

    def __init__(self, connect: Callable[[], Warehouse], prepare: Prepare) -> None:
        self._connect, self._prepare = connect, prepare
        self._opened: Warehouse | None = None
        self._why: DomainError = UnavailableError(
            "the warehouse is not open yet; try again", reason="WAREHOUSE_UNAVAILABLE"
        )

    def __enter__(self) -> "AwaitedWarehouse":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Open the warehouse if it is not open, and see that it answers; one thread at a time.

        Raises:
            DomainError: What is in the way. Statements are refused with it until it is gone.
        """
        if self._opened is None:
            try:
                self._opened = self._open()
            except DomainError as error:
                self._why = error
                raise
        self._opened.query("SELECT 1")

    def execute(self, sql: str, parameters: Mapping[str, object] = NO_PARAMETERS) -> None:
        """See `Warehouse.execute`."""
        self._warehouse().execute(sql, parameters)

    def insert(self, table: str, rows: pa.Table) -> int:
        """See `Warehouse.insert`."""
        return self._warehouse().insert(table, rows)

    def query(self, sql: str, parameters: Mapping[str, object] = NO_PARAMETERS) -> pa.Table:
        """See `Warehouse.query`."""
        return self._warehouse().query(sql, parameters)

    def stream(
        self,
        sql: str,
        parameters: Mapping[str, object] = NO_PARAMETERS,
        *,
        max_rows: int = 65_536,
    ) -> Iterator[pa.RecordBatch]:
        """See `Warehouse.stream`."""
        return self._warehouse().stream(sql, parameters, max_rows=max_rows)

    def close(self, grace_seconds: float = 10.0) -> None:
        """See `Warehouse.close`."""
        if self._opened is None:
            self._why = closed()
        else:
            self._opened.close(grace_seconds)

    def _open(self) -> Warehouse:
        warehouse = self._connect()
        try:
            self._prepare(warehouse)
        except BaseException:
            warehouse.close(0.0)
            raise
        return warehouse

    def _warehouse(self) -> Warehouse:
        if self._opened is None:
            # Anew each time: an error that is raised twice keeps the frames of both.
            raise type(self._why)(self._why.message, reason=self._why.reason, **self._why.metadata)
        return self._opened
