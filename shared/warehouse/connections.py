"""Connections to a ClickHouse server: how they open, read, write and break."""

import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from clickhouse_driver import Client
from clickhouse_driver.errors import Error, NetworkError, ServerException, SocketTimeoutError

from shared.errors import FailedPreconditionError, UnavailableError
from shared.warehouse.failures import failure
from shared.warehouse.port import WarehouseQueryError
from shared.warehouse.rows import identifier
from shared.warehouse.types import field

MINIMUM_VERSION = (24, 3)

_CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Endpoint:
    """Where a server is, who asks it, and for how long at most."""

    host: str
    port: int
    user: str
    password: str
    database: str
    is_secure: bool
    statement_seconds: int
    is_compressed: bool | None = None
    """Pack blocks with lz4; None does so across a network, where it pays, and not within a host."""

    def client(self, database: str, settings: Mapping[str, object]) -> Any:
        """Make a client; it connects when it is first asked."""
        return Client(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=database,
            secure=self.is_secure,
            compression="lz4" if self.is_packing() else False,
            connect_timeout=_CONNECT_SECONDS,
            send_receive_timeout=self.statement_seconds,
            settings={
                "server_side_params": True,
                "use_numpy": True,
                "strings_as_bytes": True,
                **settings,
            },
        )

    def is_packing(self) -> bool:
        """Say whether blocks are packed on the way."""
        return not _is_loopback(self.host) if self.is_compressed is None else self.is_compressed


class Connection:
    """One connection; the driver opens it anew by itself when the server was away in between."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def read(self, sql: str, values: Mapping[str, object]) -> pa.RecordBatchReader:
        """Start a statement; its rows come as the reader is read."""
        reader = self.client.query_arrow_stream(sql, dict(values))
        specs = [each.metadata[b"clickhouse_type"].decode() for each in reader.schema]
        schema = pa.schema(
            [field(name, spec) for name, spec in zip(reader.schema.names, specs, strict=True)]
        )
        return pa.RecordBatchReader.from_batches(schema, (_cast(batch, schema) for batch in reader))

    def insert(self, statement: str, values: list[Any]) -> None:
        """Send one block, a list of values for each column, and wait until it is stored."""
        self.client.execute(statement, values, columnar=True, settings={"use_numpy": False})

    def interrupt(self) -> None:
        """Cut the line under a running statement."""
        connection = self.client.connection
        if connection.socket is not None:
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up."""
        self.client.disconnect()


class ServerEngine:
    """A server that is new enough, and how statements are to run there."""

    def __init__(self, endpoint: Endpoint, minimum_version: tuple[int, int]) -> None:
        self._endpoint = endpoint
        self._minimum_version = minimum_version
        self._settings: Mapping[str, object] = {}

    def prepare(self) -> None:
        """Check the server and make the database."""
        client = self._endpoint.client("", {})
        try:
            client.connection.connect()
            version = tuple(client.connection.server_info.version_tuple()[:2])
            self._check(version)
            if version >= MINIMUM_VERSION:
                self._settings = {
                    "max_execution_time": self._endpoint.statement_seconds,
                    "session_timezone": "UTC",
                    "max_partitions_per_insert_block": 0,
                    # An insert is stored when it is acknowledged, as one block.
                    "async_insert": 0,
                }
            name = self._endpoint.database
            found = client.execute(f"SELECT count() FROM system.databases WHERE name = '{name}'")
            if not found[0][0]:
                client.execute(f"CREATE DATABASE IF NOT EXISTS {identifier(name)}")
        except Exception as error:
            raise self.explain(error) from error
        finally:
            client.disconnect()

    def open(self) -> Connection:
        """See `Engine.open`."""
        client = self._endpoint.client(self._endpoint.database, self._settings)
        try:
            client.connection.connect()
            self._check(tuple(client.connection.server_info.version_tuple()[:2]))
        except Exception as error:
            raise self.explain(error) from error
        return Connection(client)

    def interrupt(self, sessions: Sequence[Connection]) -> None:
        """See `Engine.interrupt`."""
        for session in sessions:
            session.interrupt()  # the server stops a statement whose client has gone

    def explain(self, error: Exception) -> Exception:
        """See `Engine.explain`."""
        if isinstance(error, ServerException):
            return failure(error.code, error.message)
        if isinstance(error, NetworkError | SocketTimeoutError | OSError | EOFError):
            endpoint = self._endpoint
            return UnavailableError(
                f"ClickHouse at {endpoint.host}:{endpoint.port} cannot be reached; "
                "check that it runs, then try again.",
                reason="WAREHOUSE_UNAVAILABLE",
                host=endpoint.host,
                port=endpoint.port,
            )
        if isinstance(error, Error):
            return WarehouseQueryError(str(error))
        return error

    def _check(self, version: tuple[int, ...]) -> None:
        if version < self._minimum_version:
            needed = ".".join(map(str, self._minimum_version))
            found = ".".join(map(str, version))
            raise FailedPreconditionError(
                f"The ClickHouse server at {self._endpoint.host}:{self._endpoint.port} is version "
                f"{found}; Oriel needs {needed} or newer.",
                reason="SERVER_TOO_OLD",
                version=found,
                minimum_version=needed,
                host=self._endpoint.host,
                port=self._endpoint.port,
            )


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for column, target in zip(batch.columns, schema, strict=True):
        if pa.types.is_timestamp(column.type) and not pa.types.is_timestamp(target.type):
            column = column.cast(pa.int64())
        columns.append(column.cast(options=pc.CastOptions(target.type, allow_invalid_utf8=True)))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
