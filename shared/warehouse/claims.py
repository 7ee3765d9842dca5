"""Who may write what comes from a partition of the bus, decided by the warehouse itself.

A member of a group that was stopped for a while does not know that another one has its partitions.
So every write of a stream is one statement of the warehouse that stores nothing once a higher claim
is there, and whoever claims waits until the statements that began before have ended.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import pyarrow as pa

from shared.errors import FailedPreconditionError, UnavailableError
from shared.warehouse.port import Warehouse

_STAGING = "stream_arriving_"
_DRAIN_SECONDS = 30.0
_LOOK_SECONDS = 0.02
_IS_HIGHEST = """(
    SELECT countIf((epoch, owner) > (
        transform(stream, {streams:Array(String)}, {epochs:Array(UInt64)}, toUInt64(0)),
        {owner:String}))
    FROM stream_claims WHERE stream IN {streams:Array(String)}
) = 0"""


def claim(warehouse: Warehouse, streams: Collection[str], owner: str) -> dict[str, int]:
    """Become the one who writes some streams; earlier owners can store nothing from here on.

    Returns:
        The epoch of each claim.

    Raises:
        UnavailableError: A statement of an earlier owner does not end.
    """
    table = warehouse.query(
        """SELECT stream, max(epoch) AS epoch FROM stream_claims
        WHERE stream IN {streams:Array(String)} GROUP BY stream""",
        {"streams": sorted(streams)},
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
    return epochs


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


class ClaimedTables:
    """Tables to which rows are added only under the highest claims of their streams.

    Rows first go to a table of this owner alone, which may take as long as it likes; from there one
    short statement moves them, and asks for the claims itself.

    Args:
        warehouse: What to write to.
        owner: Name of the writer; letters and digits, unique for each start.
    """

    def __init__(self, warehouse: Warehouse, owner: str) -> None:
        self._warehouse, self.owner = warehouse, owner
        self._epochs: Mapping[str, int] = {}
        self._made: set[str] = set()
        self._prepared: set[str] = set()

    @contextmanager
    def under(self, epochs: Mapping[str, int]) -> Iterator[None]:
        """Write under the claims of some streams, by their epochs."""
        self._epochs = epochs
        try:
            yield
        finally:
            self._epochs = {}

    def insert(self, table: str, rows: pa.Table) -> None:
        """Add rows.

        Raises:
            FailedPreconditionError: Somebody else claimed one of the streams; nothing was stored,
                or all of it before the other one read how far the stream is stored.
        """
        if not rows.num_rows:
            return
        staging = self._staging(table)
        self._warehouse.insert(staging, rows)
        names = ", ".join(f"`{name}`" for name in rows.column_names)
        streams = sorted(self._epochs)
        claims: dict[str, object] = {
            "streams": streams,
            "epochs": [self._epochs[stream] for stream in streams],
            "owner": self.owner,
        }
        self._warehouse.execute(
            f"INSERT INTO {table} ({names}) SELECT {names} FROM {staging} WHERE {_IS_HIGHEST}",
            claims,
        )
        self._warehouse.execute(f"TRUNCATE TABLE {staging}")
        found = self._warehouse.query(f"SELECT {_IS_HIGHEST} AS is_highest", claims)
        if not found["is_highest"][0].as_py():
            raise FailedPreconditionError(
                "another member took a partition over; what this one read of it was dropped",
                reason="STREAM_CLAIM_LOST",
            )

    def forget(self) -> None:
        """Begin with empty tables after a failure, which may have left rows in them."""
        self._prepared.clear()

    def close(self) -> None:
        """Drop this owner's tables; the warehouse stays open."""
        self._prepared.clear()
        for table in sorted(self._made):
            self._warehouse.execute(f"DROP TABLE IF EXISTS {self._name(table)}")
        self._made.clear()

    def _staging(self, table: str) -> str:
        name = self._name(table)
        if table not in self._prepared:
            self._made.add(table)
            self._warehouse.execute(f"DROP TABLE IF EXISTS {name}")
            self._warehouse.execute(f"CREATE TABLE {name} AS {table} ENGINE = Memory")
            self._prepared.add(table)
        return name

    def _name(self, table: str) -> str:
        return f"{_STAGING}{table}_{self.owner}"


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
    return set(table["query_id"].to_pylist())
