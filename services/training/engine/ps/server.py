"""The server of a partition: sums gradients, applies updates, sends new values to the workers."""

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from services.training.engine.local import numbers
from services.training.engine.ps.holdings import Holdings
from services.training.engine.ps.job import Build, Job
from services.training.engine.ps.memory import aligned, as_bytes
from services.training.engine.ps.messages import Header, Kind, control, said
from services.training.engine.ps.partition import pieces_of
from services.training.engine.ps.states import Kept, read_state, send_state
from services.training.engine.ps.transport import LAST, Connection
from services.training.engine.ps.wire import Encoder, Wire, decode


@dataclass
class _Group:
    """A job, what is kept of it, and who is told of its updates."""

    job: Job
    holdings: Holdings
    coordinator: Connection
    workers: list[Connection] = field(default_factory=list)
    encoder: Encoder = field(default_factory=Encoder)
    settled: int = -1
    lock: threading.Lock = field(default_factory=threading.Lock)

    def publish(
        self,
        kept: Kept,
        workers: list[Connection],
        piece: int,
        priority: int,
        tag: object = None,
    ) -> None:
        """Send values in pieces of that size; they replace older ones that have not left yet."""
        is_state = self.job.vectors[kept.vector].is_state
        wire = Wire.FLOAT32 if is_state else self.job.sharing.wire.of_values
        for part in pieces_of(kept.start, len(kept.values), max(piece, 1)):
            numbers = kept.values[part.start - kept.start :][: part.size]
            body = self.encoder.encode(wire, kept.vector, part.start, numbers)
            header = Header(
                Kind.VALUES,
                wire=wire,
                priority=priority,
                vector=kept.vector,
                start=part.start,
                size=part.size,
                step=kept.version,
                body=len(body),
            )
            for worker in workers:
                worker.send(header, body, (kept.vector, part.start, part.size, tag))


class Server:
    """Keeps ranges of the vectors of any number of groups, each with a job of its own.

    Args:
        build: Makes the job that a coordinator orders.
    """

    def __init__(self, build: Build) -> None:
        self._build = build
        self._groups: dict[str, _Group] = {}
        self._of: dict[Connection, _Group] = {}
        self._coordinators: set[Connection] = set()
        self._error: Exception | None = None
        self._has_ended = threading.Event()

    def enlist(self, coordinator: Connection) -> None:
        """Serve until that coordinator has ended."""
        self._coordinators.add(coordinator)

    def wait(self) -> None:
        """Return when every coordinator has ended.

        Raises:
            Exception: What this server could not cope with.
        """
        self._has_ended.wait()
        if self._error is not None:
            raise self._error

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
            self._error = error
            for each in self._coordinators:
                each.send(*control("failed", error=repr(error)))
            self._has_ended.set()
        self._dismiss(connection)
        group = self._of.pop(connection, None)
        if group is None:
            return
        with group.lock:
            if connection in group.workers:
                group.workers.remove(connection)

    def _dismiss(self, connection: Connection) -> None:
        self._coordinators.discard(connection)
        if not self._coordinators:
            self._has_ended.set()

    def _said(self, connection: Connection, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "open":
            job = self._build(message["order"])
            group = _Group(job, Holdings(job), connection)
            self._groups[message["group"]] = self._of[connection] = group
        elif kind == "join":
            group = self._of[connection] = self._groups[message["group"]]
            with group.lock:
                group.workers.append(connection)
                for kept in group.holdings.values():
                    # The version is in the tag: neither may replace the other.
                    group.publish(kept, [connection], len(kept.values), LAST, kept.version)
        elif kind == "collect":
            group = self._of[connection]
            with group.lock:
                for kept in group.holdings.states():
                    send_state(connection, kept)
        elif kind == "stop":
            self._dismiss(connection)

    def _load(self, group: _Group, header: Header, body: memoryview) -> None:
        kept = read_state(group.holdings.rules, header, body)
        group.holdings.load(kept)
        group.publish(kept, group.workers, len(kept.values), LAST)

    def _add(self, group: _Group, header: Header, body: memoryview) -> None:
        gradient = decode(Wire(header.wire), body, group.job.dtype)
        updates = group.holdings.add(
            header.vector, header.start, header.step, header.part, gradient
        )
        for kept in updates:
            group.publish(kept, group.workers, header.size, header.priority)

    def _tell_settled(self, group: _Group) -> None:
        settled = group.holdings.settled
        if settled != group.settled:
            group.settled = settled
            group.coordinator.send(*control("settled", step=settled))
