"""Reads events from the bus and has them stored, whatever dies meanwhile."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from services.ingestion.usecases.claims import Claim, ClaimedWarehouse, Position, claim, sweep
from services.ingestion.usecases.ingest_stream import StreamIntake, position_after
from services.ingestion.usecases.ports import Tally
from shared.bus import Listener, Partition, Reader, Record
from shared.errors import DomainError
from shared.warehouse import Warehouse

_LOG = logging.getLogger(__name__)

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.2, 2.0
_IDLE_SECONDS = 0.5


@dataclass(frozen=True)
class SliceLimits:
    """How much is read before it is stored; what is read and not stored lies in memory."""

    rows: int = 20_000
    value_bytes: int = 16 << 20
    seconds: float = 0.1
    """Longest that a record waits for others."""


SLICE_LIMITS = SliceLimits()
"""What a machine of a few gigabytes holds with ease."""


@dataclass
class _Held:
    """What was read and not stored yet."""

    records: dict[Partition, list[Record]] = field(default_factory=dict)
    rows: int = 0
    value_bytes: int = 0
    since: float = 0.0

    def add(self, partition: Partition, records: Collection[Record], now: float) -> None:
        if not self.rows:
            self.since = now
        self.records.setdefault(partition, []).extend(records)
        self.rows += len(records)
        self.value_bytes += sum(len(record.value or b"") for record in records)

    def drop(self, partition: Partition) -> None:
        records = self.records.pop(partition, [])
        self.rows -= len(records)
        self.value_bytes -= sum(len(record.value or b"") for record in records)

    def is_due(self, limits: SliceLimits, now: float) -> bool:
        return bool(self.rows) and (
            self.rows >= limits.rows
            or self.value_bytes >= limits.value_bytes
            or now - self.since >= limits.seconds
        )


class StreamConsumer:
    """A member of the group that stores the workspace's events; run it in a thread of its own.

    Partitions come and go as other members do. For each one it gets, it takes the claim in the
    warehouse and reads on behind what is stored there; the offsets that it tells the broker are for
    tools that show lag. Whatever fails, what was read and not stored is read again.

    Args:
        join: Joins the group with a listener.
        warehouse: Where claims and positions are.
        intake: Makes what stores slices, for a warehouse under claims.
        limits: How much is read before it is stored.
    """

    def __init__(
        self,
        join: Callable[[Listener], Reader],
        warehouse: Warehouse,
        intake: Callable[[ClaimedWarehouse], StreamIntake],
        limits: SliceLimits = SLICE_LIMITS,
    ) -> None:
        self._join, self._warehouse, self._limits = join, warehouse, limits
        self._claimed = ClaimedWarehouse(warehouse, uuid.uuid4().hex)
        self._make_intake = intake
        self._intake: StreamIntake | None = None
        # The client tells of rebalances from a thread of its own.
        self._lock = threading.Lock()
        self._held = _Held()
        self._assigned: frozenset[Partition] = frozenset()
        self._claims: dict[Partition, Claim] = {}
        self._positions: dict[Partition, Position] = {}
        self._wait_seconds = 0.0
        self._retry_time = 0.0
        self._stopping = threading.Event()
        self.total = Tally()
        """What became of the records that this member stored."""

    def run(self) -> None:
        """Read and store until `stop`."""
        while not self._stopping.is_set():
            try:
                if self._intake is None:
                    sweep(self._warehouse)
                    self._intake = self._make_intake(self._claimed)
                reader = self._join(self)
            except DomainError as error:
                self._note(error)
                self._stopping.wait(self._wait_seconds)
                continue
            try:
                self._read(reader)
            except Exception as error:  # noqa: BLE001 - what a stop could not store is read again
                _LOG.warning("what was read last is left to the next member: %s", _said(error))
            finally:
                self._leave(reader)
        self._close()

    def stop(self) -> None:
        """Let `run` store what it holds, leave the group and return."""
        self._stopping.set()

    def assigned(self, partitions: Collection[Partition]) -> None:
        """See `Listener.assigned`."""
        with self._lock:
            self._assigned |= frozenset(partitions)

    def revoked(self, partitions: Collection[Partition]) -> None:
        """See `Listener.revoked`."""
        with self._lock:
            try:
                self._store()
            except Exception as error:  # noqa: BLE001 - the next member reads it again
                _LOG.warning("what was read last is left to the next member: %s", _said(error))
                self._forget()
            self._let_go(partitions)

    def lost(self, partitions: Collection[Partition]) -> None:
        """See `Listener.lost`."""
        with self._lock:
            self._let_go(partitions)

    def _read(self, reader: Reader) -> None:
        while not self._stopping.is_set():
            try:
                self._settle(reader)
                self._turn(reader)
            except DomainError as error:
                self._trouble(reader, error)
            except Exception as error:  # noqa: BLE001 - a bug must not end a member silently
                _LOG.exception("a slice of the bus could not be stored")
                self._trouble(reader, error)
        with self._lock:
            stored = self._store()
        reader.commit(stored)

    def _settle(self, reader: Reader) -> None:
        """Claim what was assigned lately, and read on behind what is stored of it."""
        with self._lock:
            fresh = self._assigned - self._claims.keys()
            if not fresh or time.monotonic() < self._retry_time:
                return
            claims = claim(self._warehouse, [str(each) for each in fresh], self._claimed.owner)
            for partition in fresh:
                found = claims[str(partition)]
                reader.seek(partition, found.next_offset)
                self._claims[partition] = found
                self._positions[partition] = Position(found.next_offset, 0, 0)
            reader.hold(())

    def _turn(self, reader: Reader) -> None:
        wait = self._limits.seconds if self._held.rows else _IDLE_SECONDS
        records = reader.poll(wait, max(self._limits.rows - self._held.rows, 1))
        now = time.monotonic()
        with self._lock:
            for partition, some in records.items():
                # Read before its claim, it is read again behind what is stored.
                if partition in self._claims:
                    self._held.add(partition, some, now)
            is_due = self._held.is_due(self._limits, now)
            stored = self._store() if is_due or not records else {}
        reader.commit(stored)

    def _store(self) -> Mapping[Partition, int]:
        if not self._held.rows or self._intake is None:
            return {}
        records = self._held.records
        epochs = {str(each): self._claims[each].epoch for each in records}
        positions = {
            each: position_after(self._positions[each], some) for each, some in records.items()
        }
        texts = {str(each): position for each, position in positions.items()}
        self.total += self._intake.take(records, epochs, texts)
        self._positions |= positions
        stored = {each: position.next_offset for each, position in positions.items()}
        self._held = _Held()
        self._wait_seconds = 0.0
        return stored

    def _trouble(self, reader: Reader, error: Exception) -> None:
        """Forget what is not stored, and rest; membership goes on, and nothing more is read."""
        self._note(error)
        with self._lock:
            self._forget()
            self._retry_time = time.monotonic() + self._wait_seconds
            reader.hold(self._assigned)

    def _note(self, error: Exception) -> None:
        self._wait_seconds = min(
            max(self._wait_seconds * 2, _FIRST_WAIT_SECONDS), _LONGEST_WAIT_SECONDS
        )
        _LOG.warning("reading the bus rests for %.1f s: %s", self._wait_seconds, _said(error))

    def _forget(self) -> None:
        self._held = _Held()
        self._claims.clear()
        self._claimed.forget()

    def _let_go(self, partitions: Collection[Partition]) -> None:
        self._assigned -= frozenset(partitions)
        for partition in partitions:
            self._claims.pop(partition, None)
            self._held.drop(partition)

    def _leave(self, reader: Reader) -> None:
        reader.close()
        with self._lock:
            self._held, self._assigned = _Held(), frozenset()
            self._claims.clear()

    def _close(self) -> None:
        try:
            self._claimed.close()
            if self._intake is not None:
                self._intake.close()
        except DomainError as error:
            _LOG.warning("what a stop leaves behind goes with the next start: %s", _said(error))


def _said(error: Exception) -> str:
    """Return what may be logged: other errors may hold what was read."""
    return str(error) if isinstance(error, DomainError) else type(error).__name__
