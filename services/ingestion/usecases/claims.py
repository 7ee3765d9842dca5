"""Who may write what comes from a partition of the bus, decided by the warehouse itself."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from shared.errors import FailedPreconditionError, UnavailableError
from shared.warehouse import Warehouse
from shared.warehouse.port import NO_PARAMETERS

FENCED_TABLES = ("events", "events_rejected", "stream_positions")
"""Tables in which a second writer of a stream would do harm."""

_STAGING = "stream_arriving_"
_DRAIN_SECONDS = 30.0
_LOOK_SECONDS = 0.02
_IS_HIGHEST = """(
    SELECT countIf((epoch, owner) > (
        transform(stream, {streams:Array(String)}, {epochs:Array(UInt64)}, toUInt64(0)),
        {owner:String}))
    FROM stream_claims WHERE stream IN {streams:Array(String)}
) = 0"""


@dataclass(frozen=True)
class Claim:
    """The right to write what comes from one stream, until somebody claims it anew."""

    epoch: int
    next_offset: int
    """Offset after the last one that is stored; 0 where nothing was ever read."""


@dataclass(frozen=True)
class Position:
    """How far a stream is stored, and what was read of it since its claim."""

    next_offset: int
    read_count: int
    tombstone_count: int

    def after(self, next_offset: int, read_count: int, tombstone_count: int) -> "Position":
        """Return the position after a further slice."""
        return Position(
            next_offset, self.read_count + read_count, self.tombstone_count + tombstone_count
        )


def claim(warehouse: Warehouse, streams: Collection[str], owner: str) -> dict[str, Claim]:
    """Become the one who writes some streams; earlier owners can store nothing from here on.

    Raises:
        UnavailableError: A statement of an earlier owner does not end.
    """
    wanted: dict[str, object] = {"streams": sorted(streams)}
    table = warehouse.query(
        """SELECT stream, max(epoch) AS epoch FROM stream_claims
        WHERE stream IN {streams:Array(String)} GROUP BY stream""",
        wanted,
    )
    latest = dict(zip(table["stream"].to_pylist(), table["epoch"].to_pylist(), strict=True))
    epochs = {stream: latest.get(stream, 0) + 1 for stream in sorted(streams)}
    moment = pa.array([datetime.now(UTC)] * len(epochs), pa.timestamp("us", "UTC"))
    warehouse.insert(
        "stream_claims",
        pa.table(
            {
                "stream": list(epochs),
                "epoch": pa.array(list(epochs.values()), pa.uint64()),
                "owner": [owner] * len(epochs),
                "claim_time": moment.cast(pa.timestamp("ms", "UTC"), safe=False),
            }
        ),
    )
    _drain(warehouse)
    table = warehouse.query(
        """SELECT stream, max(p.next_offset) AS next_offset FROM stream_positions AS p
        WHERE stream IN {streams:Array(String)} GROUP BY stream""",
        wanted,
    )
    ends = dict(zip(table["stream"].to_pylist(), table["next_offset"].to_pylist(), strict=True))
    return {stream: Claim(epoch, ends.get(stream, 0)) for stream, epoch in epochs.items()}


def sweep(warehouse: Warehouse) -> None:
    """Drop the tables of owners that died more than a day ago."""
    table = warehouse.query(
        """SELECT name FROM system.tables WHERE database = currentDatabase()
          AND startsWith(name, {staging:String})
          AND metadata_modification_time < now() - INTERVAL 1 DAY""",
        {"staging": _STAGING},
    )
    for name in table["name"].to_pylist():
        warehouse.execute(f"DROP TABLE IF EXISTS {name}")


def position_rows(epochs: Mapping[str, int], positions: Mapping[str, Position]) -> pa.Table:
    """Return rows of `stream_positions`."""
    streams = list(positions)
    counts = list(positions.values())
    return pa.table(
        {
            "stream": streams,
            "epoch": pa.array([epochs[stream] for stream in streams], pa.uint64()),
            "next_offset": pa.array([each.next_offset for each in counts], pa.uint64()),
            "read_count": pa.array([each.read_count for each in counts], pa.uint64()),
            "tombstone_count": pa.array([each.tombstone_count for each in counts], pa.uint64()),
        }
    )


class ClaimedWarehouse:
    """A `Warehouse` whose writes of streams take effect only under the highest claims.

    A member of a group that was stopped for a while does not know that another one has its
    partitions: what it writes then must be nothing. Rows first go to a table of this owner alone,
    which may take as long as it likes; from there one short statement moves them, and asks for the
    claims itself.

    Args:
        warehouse: What to write to.
        owner: Name of the writer; letters and digits, unique for each start.
    """

    def __init__(self, warehouse: Warehouse, owner: str) -> None:
        self._warehouse, self.owner = warehouse, owner
        self._epochs: Mapping[str, int] = {}
        self._prepared: set[str] = set()

    @contextmanager
    def under(self, epochs: Mapping[str, int]) -> Iterator[None]:
        """Write under the claims of some streams, by their epochs."""
        self._epochs = epochs
        try:
            yield
        finally:
            self._epochs = {}

    def execute(self, sql: str, parameters: Mapping[str, object] = NO_PARAMETERS) -> None:
        """See `Warehouse.execute`."""
        self._warehouse.execute(sql, parameters)

    def insert(self, table: str, rows: pa.Table) -> int:
        """See `Warehouse.insert`.

        Raises:
            FailedPreconditionError: Somebody else claimed one of the streams; nothing was stored,
                or all of it before the other one read how far the stream is stored.
        """
        if table not in FENCED_TABLES or not rows.num_rows:
            return self._warehouse.insert(table, rows)
        staging = self._staging(table)
        self._warehouse.insert(staging, rows)
        names = ", ".join(f"`{name}`" for name in rows.column_names)
        self._warehouse.execute(
            f"INSERT INTO {table} ({names}) SELECT {names} FROM {staging} WHERE {_IS_HIGHEST}",
            self._claims(),
        )
        self._warehouse.execute(f"TRUNCATE TABLE {staging}")
        self._check()
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
        for table in sorted(self._prepared):
            self._warehouse.execute(f"DROP TABLE IF EXISTS {self._name(table)}")
        self._prepared.clear()

    def forget(self) -> None:
        """Begin with empty tables after a failure, which may have left rows in them."""
        self._prepared.clear()

    def _staging(self, table: str) -> str:
        name = self._name(table)
        if table not in self._prepared:
            self._warehouse.execute(f"DROP TABLE IF EXISTS {name}")
            self._warehouse.execute(f"CREATE TABLE {name} AS {table} ENGINE = Memory")
            self._prepared.add(table)
        return name

    def _name(self, table: str) -> str:
        return f"{_STAGING}{table}_{self.owner}"

    def _claims(self) -> dict[str, object]:
        streams = sorted(self._epochs)
        epochs = [self._epochs[stream] for stream in streams]
        return {"streams": streams, "epochs": epochs, "owner": self.owner}

    def _check(self) -> None:
        table = self._warehouse.query(f"SELECT {_IS_HIGHEST} AS is_highest", self._claims())
        if not table["is_highest"][0].as_py():
            raise FailedPreconditionError(
                "another member took a partition over; what this one read of it was dropped",
                reason="STREAM_CLAIM_LOST",
            )


def _drain(warehouse: Warehouse, clock: Callable[[], float] = time.monotonic) -> None:
    """Wait until the writes that began before have ended: they may not have seen the claim."""
    waiting = _writes(warehouse)
    deadline = clock() + _DRAIN_SECONDS
    while waiting:
        if clock() > deadline:
            raise UnavailableError(
                "a write of an earlier owner does not end in the warehouse; see its processes",
                reason="STREAM_WRITE_HANGS",
            )
        time.sleep(_LOOK_SECONDS)
        waiting &= _writes(warehouse)


def _writes(warehouse: Warehouse) -> set[str]:
    table = warehouse.query(
        "SELECT query_id FROM system.processes WHERE startsWith(query, {write:String}) "
        "AND position(query, {moved:String}) > 0",
        # What a stopped client was filling its own table with never ends, and does no harm.
        {"write": "INSERT INTO", "moved": f"FROM {_STAGING}"},
    )
    ids: Sequence[str] = table["query_id"].to_pylist()
    return set(ids)
