"""The embedded warehouse: ClickHouse's own engine inside this process, through chDB."""

import atexit
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from chdb.session import Session

from shared.errors import FailedPreconditionError, InvalidArgumentError
from shared.warehouse.failures import code_in, failure
from shared.warehouse.lock import FolderLock
from shared.warehouse.parameters import render
from shared.warehouse.port import NO_PARAMETERS
from shared.warehouse.rows import blocks, fit, identifier, rebatched
from shared.warehouse.sessions import Lease, SessionPool

DATABASE = "oriel"
MEMORY_BYTES = 2 * 1024**3
STATEMENT_SECONDS = 3600

# Room beside the largest statement for caches, merges and a second small statement.
_OVERHEAD_BYTES = 1024**3
_MARK_CACHE_BYTES = 256 * 1024**2
# One thread and no squashing limit: a block is written whole, so it is stored whole or not at all.
_INSERT_SETTINGS = (
    "max_insert_threads = 1, min_insert_block_size_bytes = 0, min_insert_block_size_rows = {rows}"
)


def open_embedded(
    path: Path,
    *,
    memory_bytes: int = MEMORY_BYTES,
    statement_seconds: int = STATEMENT_SECONDS,
) -> "EmbeddedWarehouse":
    """Open the warehouse of a folder in this process, making it if it is not there.

    A process can have one folder open at a time, and a folder one process.

    Args:
        path: The folder.
        memory_bytes: Most memory of one statement; grouping and sorting spill to disk at half.
        statement_seconds: Longest a statement may run.

    Raises:
        FailedPreconditionError: Somebody else has the folder open, or this process has another.
    """
    path = path.resolve()
    if "?" in str(path) or "&" in str(path):
        raise InvalidArgumentError(
            f"The warehouse cannot lie in {path}: the engine does not take ? or & in a path.",
            reason="BAD_WAREHOUSE_PATH",
            path=path,
        )
    lock = FolderLock(path)
    lock.acquire()
    try:
        pool = _opened_pool(_Engine(path, memory_bytes, statement_seconds), path)
    except BaseException:
        lock.release()
        raise
    return EmbeddedWarehouse(pool, lock)


class EmbeddedWarehouse:
    """A `Warehouse` over chDB; make it with `open_embedded`.

    Ask it from other threads than the main one: Python hears Ctrl-C there only when the statement
    has ended.
    """

    def __init__(self, pool: SessionPool, lock: FolderLock) -> None:
        self._pool = pool
        self._lock = lock
        # Leaving the interpreter with a statement in a daemon thread would crash it.
        atexit.register(self.close, 0.0)

    def __enter__(self) -> "EmbeddedWarehouse":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def announce(self, address: str) -> None:
        """Tell those who find the folder taken where this process serves it."""
        self._lock.announce(address)

    def execute(self, sql: str, parameters: Mapping[str, object] = NO_PARAMETERS) -> None:
        """See `Warehouse.execute`."""
        texts = render(sql, parameters)
        with self._pool.lease() as lease:
            lease.call(lambda session: session.query(sql, "Null", params=texts))

    def insert(self, table: str, rows: pa.Table) -> int:
        """See `Warehouse.insert`."""
        target = identifier(table)
        schema = self.query(f"SELECT * FROM {target} LIMIT 0").schema
        fitted = fit(rows, schema, table)
        columns = ", ".join(identifier(name) for name in fitted.column_names)
        with self._pool.lease() as lease:
            for block in blocks(fitted):
                settings = _INSERT_SETTINGS.format(rows=block.num_rows)
                statement = f"INSERT INTO {target} ({columns}) SETTINGS {settings} SELECT {columns}"
                lease.call(_insertion(statement, block))
        return int(fitted.num_rows)

    def query(self, sql: str, parameters: Mapping[str, object] = NO_PARAMETERS) -> pa.Table:
        """See `Warehouse.query`."""
        texts = render(sql, parameters)
        with self._pool.lease() as lease:
            return _queried(lease, sql, texts)

    def stream(
        self,
        sql: str,
        parameters: Mapping[str, object] = NO_PARAMETERS,
        *,
        max_rows: int = 65_536,
    ) -> Iterator[pa.RecordBatch]:
        """See `Warehouse.stream`."""
        texts = render(sql, parameters)
        return self._streamed(sql, texts, max_rows)

    def close(self, grace_seconds: float = 10.0) -> None:
        """See `Warehouse.close`."""
        atexit.unregister(self.close)
        self._pool.close(grace_seconds)
        self._lock.release()

    def _streamed(self, sql: str, texts: dict[str, str], max_rows: int) -> Iterator[pa.RecordBatch]:
        with self._pool.lease() as lease:
            is_empty = True
            for batch in rebatched(_fetched(lease, sql, texts), max_rows):
                is_empty = False
                yield batch
            if is_empty:
                schema = _queried(lease, f"SELECT * FROM ({sql}\n) LIMIT 0", texts).schema
                yield pa.RecordBatch.from_pylist([], schema=schema)


class _Engine:
    """chDB on one folder; it lives as long as one of its sessions does."""

    def __init__(self, path: Path, memory_bytes: int, statement_seconds: int) -> None:
        self._address = (
            f"{path}?max_server_memory_usage={memory_bytes + _OVERHEAD_BYTES}"
            f"&mark_cache_size={_MARK_CACHE_BYTES}"
        )
        # Absolute limits, because the engine's own, a share of what is free, came too late: 12
        # million groups did not fit into 256 MiB with it and do with these.
        spill = memory_bytes // 2
        self._settings = (
            f"max_memory_usage = {memory_bytes}, max_execution_time = {statement_seconds}, "
            f"max_bytes_before_external_group_by = {spill}, "
            f"max_bytes_before_external_sort = {spill}, "
            "max_bytes_ratio_before_external_group_by = 0, "
            "max_bytes_ratio_before_external_sort = 0, "
            "session_timezone = 'UTC', max_partitions_per_insert_block = 0"
        )

    def open(self) -> Any:
        session: Any = Session(self._address)  # type: ignore[no-untyped-call]
        session.query(f"SET {self._settings}")
        session.query(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        session.query(f"USE {DATABASE}")
        return session

    def interrupt(self, sessions: Sequence[Any]) -> None:
        del sessions  # the engine ends when its pool does, so nothing in it is to go on
        killer = self.open()
        # ASYNC, because SYNC would wait for ever on a stream that nobody reads from.
        killer.query("KILL QUERY WHERE query_id != queryID() ASYNC")
        killer.close()

    def explain(self, error: Exception) -> Exception:
        if isinstance(error, RuntimeError | ValueError):  # chDB raises both for the engine's errors
            message = str(error)
            return failure(code_in(message), message)
        return error


def _opened_pool(engine: _Engine, path: Path) -> SessionPool:
    pool = SessionPool(engine)
    try:
        with pool.lease():
            pass  # the pool keeps it, and so the engine stays
    except RuntimeError as error:
        raise FailedPreconditionError(
            f"The engine could not open {path}: {error}", reason="WAREHOUSE_NOT_OPENED", path=path
        ) from error
    return pool


def _insertion(statement: str, block: pa.Table) -> Callable[[Any], object]:
    def act(session: Any) -> object:
        # `Python(name)` reads the Arrow buffers in place. The engine looks the name up in the
        # frames of this very call, innermost first, so it must be one that chDB itself never uses.
        rows_of_this_insert = block  # noqa: F841
        return session.query(f"{statement} FROM Python(rows_of_this_insert)", "Null")

    return act


def _queried(lease: Lease, sql: str, texts: dict[str, str]) -> pa.Table:
    raw = lease.call(lambda session: session.query(sql, "ArrowStream", params=texts).bytes())
    return pa.ipc.open_stream(raw).read_all() if raw else pa.table({})


def _fetched(lease: Lease, sql: str, texts: dict[str, str]) -> Iterator[pa.RecordBatch]:
    result = lease.call(lambda session: session.send_query(sql, "Arrow", params=texts))
    try:
        while (chunk := lease.call(lambda _: result.fetch())) is not None:
            yield from pa.ipc.open_file(chunk.bytes()).read_all().to_batches()
    finally:
        lease.release(result.close)
