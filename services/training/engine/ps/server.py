"""The server of a partition: sums gradients, applies updates, sends new values to the workers."""

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from services.training.engine.local import numbers
from services.training.engine.ps.holdings import Holdings
from services.training.engine.ps.job import Job
from services.training.engine.ps.memory import aligned, as_bytes
from services.training.engine.ps.messages import Header, Kind, control, said
from services.training.engine.ps.partition import pieces_of
from services.training.engine.ps.states import Kept, read_state, send_state
from services.training.engine.ps.transport import LAST, Connection


@dataclass
class _Group:
    """A job, what is kept of it, and who is told of its updates."""

    job: Job
    holdings: Holdings
    workers: list[Connection] = field(default_factory=list)
    coordinator: Connection | None = None
    settled: int = -1
    lock: threading.Lock = field(default_factory=threading.Lock)


class Server:
    """Keeps ranges of the vectors of any number of groups, each with a job of its own."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._of: dict[Connection, _Group] = {}

    def open(self, name: str, job: Job) -> None:
        """Serve a group; its ranges come from its coordinator."""
        self._groups[name] = _Group(job, Holdings(job))

    def room(self, header: Header) -> memoryview:
        """Fresh memory: what arrives is kept without being copied."""
        return as_bytes(aligned(header.body, np.dtype(np.uint8)))

    def received(self, connection: Connection, header: Header, body: memoryview) -> None:
        """Act on a message."""
        if header.kind == Kind.CONTROL:
            self._said(connection, dict(said(body)))
            return
        group = self._of[connection]
        with group.lock, numbers(group.job.config):
            if header.kind == Kind.STATE:
                self._load(group, header, body)
            elif header.kind == Kind.GRADIENT:
                self._add(group, header, body)
            self._tell_settled(group)

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """Send no more there; a fault of this server's own is told to the coordinators."""
        if error is not None:
            for each in self._groups.values():
                if each.coordinator is not None:
                    each.coordinator.send(*control("failed", error=repr(error)))
        group = self._of.pop(connection, None)
        if group is None:
            return
        with group.lock:
            if connection in group.workers:
                group.workers.remove(connection)
            if group.coordinator is connection:
                group.coordinator = None

    def _said(self, connection: Connection, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "join":
            group = self._of[connection] = self._groups[message["group"]]
            with group.lock:
                if message["role"] == "coordinator":
                    group.coordinator, group.settled = connection, -1
                else:
                    group.workers.append(connection)
                    for kept in group.holdings.values():
                        # The version is in the tag: neither may replace the other.
                        _publish(kept, [connection], len(kept.values), LAST, kept.version)
        elif kind == "collect":
            group = self._of[connection]
            with group.lock:
                for kept in group.holdings.states():
                    send_state(connection, kept)

    def _load(self, group: _Group, header: Header, body: memoryview) -> None:
        kept = read_state(group.holdings.rules, header, body)
        group.holdings.load(kept)
        _publish(kept, group.workers, len(kept.values), LAST)

    def _add(self, group: _Group, header: Header, body: memoryview) -> None:
        gradient = np.frombuffer(body, group.job.dtype)
        updates = group.holdings.add(
            header.vector, header.start, header.step, header.part, gradient
        )
        for kept in updates:
            _publish(kept, group.workers, header.size, header.priority)

    def _tell_settled(self, group: _Group) -> None:
        settled = group.holdings.settled
        if settled != group.settled and group.coordinator is not None:
            group.settled = settled
            group.coordinator.send(*control("settled", step=settled))


def _publish(
    kept: Kept, workers: list[Connection], piece: int, priority: int, tag: object = None
) -> None:
    """Send values in pieces of that size; newer values replace those that have not left yet."""
    for part in pieces_of(kept.start, len(kept.values), max(piece, 1)):
        numbers = kept.values[part.start - kept.start :][: part.size]
        body = as_bytes(numbers)
        header = Header(
            Kind.VALUES,
            priority=priority,
            vector=kept.vector,
            start=part.start,
            size=part.size,
            step=kept.version,
            body=len(body),
        )
        key = (kept.vector, part.start, part.size, tag)
        for worker in workers:
            worker.send(header, body, key)
