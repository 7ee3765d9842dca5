"""A member of a group that reads the bus, does its work on it and goes on, whatever fails."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.bus.port import Listener, Partition, Reader, Record
from shared.errors import DomainError

_LOG = logging.getLogger(__name__)

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.2, 2.0
_IDLE_SECONDS = 0.5


@dataclass(frozen=True)
class SliceLimits:
    """How much is read before work is done on it; what is read lies in memory."""

    rows: int = 4_096
    value_bytes: int = 16 << 20
    seconds: float = 0.02
    """Longest that a record waits for others."""


class Work(Protocol):
    """What is done with records; each method is called by one thread at a time."""

    def begin(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Become the one who works on partitions; returns where to read each."""

    def take(self, records: Mapping[Partition, Sequence[Record]]) -> Mapping[Partition, int]:
        """Do the work on consecutive records; returns the offsets that follow what is done."""

    def end(self, partitions: Collection[Partition]) -> None:
        """Let partitions go, with nothing of them under way."""

    def forget(self) -> None:
        """Drop all that is under way: everything is begun again."""

    def close(self) -> None:
        """Let go of everything."""


@dataclass
class _Held:
    records: dict[Partition, list[Record]] = field(default_factory=dict)
    rows: int = 0
    value_bytes: int = 0
    since: float = 0.0

    def add(self, partition: Partition, records: Collection[Record], now: float) -> None:
        if not self.rows:
            self.since = now
        self.records.setdefault(partition, []).extend(records)
        self.rows += len(records)
        self.value_bytes += _value_bytes(records)

    def drop(self, partition: Partition) -> None:
        records = self.records.pop(partition, [])
        self.rows -= len(records)
        self.value_bytes -= _value_bytes(records)

    def is_due(self, limits: SliceLimits, now: float) -> bool:
        return (
            self.rows >= limits.rows
            or self.value_bytes >= limits.value_bytes
            or now - self.since >= limits.seconds
        )


class Member:
    """Runs work on the partitions that a group gives it; run it in a thread of its own.

    Whatever fails, what was read and not done is read again.

    Args:
        join: Joins the group with a listener.
        work: What is done.
        limits: How much is read before.
    """

    def __init__(self, join: Callable[[Listener], Reader], work: Work, limits: SliceLimits) -> None:
        self._join, self._work, self._limits = join, work, limits
        # The client tells of rebalances from a thread of its own.
        self._lock = threading.Lock()
        self._held = _Held()
        self._assigned: frozenset[Partition] = frozenset()
        self._begun: set[Partition] = set()
        self._wait_seconds = 0.0
        self._retry_time = 0.0
        self._stopping = threading.Event()

    def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping.is_set():
            try:
                reader = self._join(self)
            except DomainError as error:
                self._note(error)
                self._stopping.wait(self._wait_seconds)
                continue
            try:
                self._read(reader)
            except Exception as error:  # noqa: BLE001 - a bug must not end a member silently
                _LOG.warning("the group is left and joined again: %s", _said(error))
            finally:
                self._leave(reader)
        try:
            self._work.close()
        except DomainError as error:
            _LOG.warning("what a stop leaves behind goes with the next start: %s", error)

    def stop(self) -> None:
        """Let `run` finish what it holds, leave the group and return."""
        self._stopping.set()

    def assigned(self, partitions: Collection[Partition]) -> None:
        """See `Listener.assigned`."""
        with self._lock:
            self._assigned |= frozenset(partitions)

    def revoked(self, partitions: Collection[Partition]) -> None:
        """See `Listener.revoked`."""
        with self._lock:
            try:
                self._finish()
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
                _LOG.exception("a slice of the bus failed")
                self._trouble(reader, error)

    def _settle(self, reader: Reader) -> None:
        """Begin what was assigned lately, and read on behind what is done of it."""
        with self._lock:
            fresh = self._assigned - self._begun
            if not fresh or time.monotonic() < self._retry_time:
                return
            for partition, offset in self._work.begin(fresh).items():
                reader.seek(partition, offset)
                self._begun.add(partition)
            reader.hold(())

    def _turn(self, reader: Reader) -> None:
        wait = self._limits.seconds if self._held.rows else _IDLE_SECONDS
        records = reader.poll(wait, max(self._limits.rows - self._held.rows, 1))
        now = time.monotonic()
        with self._lock:
            for partition, some in records.items():
                # Read before it was begun, it is read again behind what is done.
                if partition in self._begun:
                    self._held.add(partition, some, now)
            is_due = self._held.is_due(self._limits, now)
            done = self._finish() if is_due or not records else {}
        reader.commit(done)

    def _finish(self) -> Mapping[Partition, int]:
        if not self._held.rows:
            return {}
        done = self._work.take(self._held.records)
        self._held = _Held()
        self._wait_seconds = 0.0
        return done

    def _trouble(self, reader: Reader, error: Exception) -> None:
        """Forget what is not done, and rest; membership goes on, and nothing more is read."""
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
        self._begun.clear()
        self._work.forget()

    def _let_go(self, partitions: Collection[Partition]) -> None:
        self._assigned -= frozenset(partitions)
        for partition in partitions:
            self._held.drop(partition)
        begun = self._begun & frozenset(partitions)
        self._begun -= begun
        self._work.end(begun)

    def _leave(self, reader: Reader) -> None:
        with self._lock:
            try:
                reader.commit(self._finish())
            except Exception as error:  # noqa: BLE001 - the next member reads it again
                _LOG.warning("what was read last is left to the next member: %s", _said(error))
        reader.close()
        with self._lock:
            self._forget()
            self._assigned = frozenset()


def _value_bytes(records: Collection[Record]) -> int:
    return sum(len(record.value or b"") for record in records)


def _said(error: Exception) -> str:
    """Return what may be logged: other errors may hold what was read."""
    return str(error) if isinstance(error, DomainError) else type(error).__name__
