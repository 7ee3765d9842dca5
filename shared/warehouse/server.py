"""The warehouse on a ClickHouse server or cluster, over the native protocol."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from shared.warehouse.connections import MINIMUM_VERSION, Endpoint, ServerEngine
from shared.warehouse.parameters import render
from shared.warehouse.port import NO_PARAMETERS
from shared.warehouse.rows import blocks, fit, identifier, rebatched
from shared.warehouse.sessions import SessionPool

STATEMENT_SECONDS = 3600

_QUOTED = str.maketrans({"\\": "\\\\", "'": "\\'"})


def connect(
    host: str,
    port: int = 9000,
    user: str = "default",
    password: str = "",
    database: str = "oriel",
    *,
    is_secure: bool = False,
    is_compressed: bool | None = None,
    statement_seconds: int = STATEMENT_SECONDS,
    minimum_version: tuple[int, int] = MINIMUM_VERSION,
) -> "ServerWarehouse":
    """Connect to a ClickHouse server, making the database if it is not there.

    Args:
        host: Name or address of the server.
        port: Port of its native protocol.
        user: Who asks.
        password: The user's password.
        database: Database of the workspace.
        is_secure: Speak TLS.
        is_compressed: Pack blocks with lz4; None does so across a network only.
        statement_seconds: Longest a statement may run.
        minimum_version: Oldest server taken; Oriel's own SQL needs the default.

    Raises:
        UnavailableError: Nobody answers there.
        UnauthenticatedError: The server refuses the user or the password.
        FailedPreconditionError: The server is too old.
    """
    identifier(database)
    # Its warnings say at every block how it reads lists, and a failure twice.
    logging.getLogger("clickhouse_driver").setLevel(logging.ERROR)
    endpoint = Endpoint(
        host, port, user, password, database, is_secure, statement_seconds, is_compressed
    )
    engine = ServerEngine(endpoint, minimum_version)
    engine.prepare()
    pool = SessionPool(engine)
    with pool.lease():
        pass
    return ServerWarehouse(pool)


class ServerWarehouse:
    """A `Warehouse` over a server; make it with `connect`."""

    def __init__(self, pool: SessionPool) -> None:
        self._pool = pool

    def __enter__(self) -> "ServerWarehouse":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def execute(self, sql: str, parameters: Mapping[str, object] = NO_PARAMETERS) -> None:
        """See `Warehouse.execute`."""
        values = _dumped(sql, parameters)
        with self._pool.lease() as lease:
            lease.call(lambda session: session.client.execute(sql, values))

    def insert(self, table: str, rows: pa.Table) -> int:
        """See `Warehouse.insert`."""
        target = identifier(table)
        schema = self.query(f"SELECT * FROM {target} LIMIT 0").schema
        fitted = fit(rows, schema, table)
        columns = ", ".join(identifier(name) for name in fitted.column_names)
        statement = f"INSERT INTO {target} ({columns}) VALUES"
        with self._pool.lease() as lease:
            for block in blocks(fitted):
                lease.call(_insertion(statement, [_values(column) for column in block.columns]))
        return int(fitted.num_rows)

    def query(self, sql: str, parameters: Mapping[str, object] = NO_PARAMETERS) -> pa.Table:
        """See `Warehouse.query`."""
        values = _dumped(sql, parameters)
        with self._pool.lease() as lease:
            return lease.call(lambda session: session.read(sql, values).read_all())

    def stream(
        self,
        sql: str,
        parameters: Mapping[str, object] = NO_PARAMETERS,
        *,
        max_rows: int = 65_536,
    ) -> Iterator[pa.RecordBatch]:
        """See `Warehouse.stream`."""
        return self._streamed(sql, _dumped(sql, parameters), max_rows)

    def close(self, grace_seconds: float = 10.0) -> None:
        """See `Warehouse.close`."""
        self._pool.close(grace_seconds)

    def _streamed(
        self, sql: str, values: Mapping[str, object], max_rows: int
    ) -> Iterator[pa.RecordBatch]:
        with self._pool.lease() as lease:
            reader = lease.call(lambda session: session.read(sql, values))
            fetched = iter(lambda: lease.call(lambda _: next(reader, None)), None)
            is_empty = True
            for batch in rebatched(fetched, max_rows):
                is_empty = False
                yield batch
            if is_empty:
                yield pa.RecordBatch.from_pylist([], schema=reader.schema)


def _insertion(statement: str, values: list[Any]) -> Callable[[Any], None]:
    return lambda session: session.insert(statement, values)


class _Dumped:
    """A parameter in the form the protocol wants; the driver quotes what it does not know as is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text.translate(_QUOTED)


def _dumped(sql: str, parameters: Mapping[str, object]) -> dict[str, _Dumped]:
    return {name: _Dumped(text) for name, text in render(sql, parameters).items()}


def _values(column: pa.ChunkedArray) -> list[Any]:
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    elif pa.types.is_string(kind):
        column = column.cast(pa.binary())
    elif pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        column = column.cast(pa.list_(pa.binary()))
    elif pa.types.is_map(kind):
        return [dict(_binary_keys(pairs)) for pairs in column.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


def _binary_keys(pairs: Sequence[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    for pair in pairs:
        key, value = (part.encode() if isinstance(part, str) else part for part in pair)
        yield key, value
