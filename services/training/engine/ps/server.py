"""A server: keeps parts of any number of groups and acts on what it is sent."""

from collections.abc import Callable
from typing import Any

import numpy as np

from services.training.engine.ps.group import ServedGroup
from services.training.engine.ps.job import Build
from services.training.engine.ps.memory import aligned, as_bytes
from services.training.engine.ps.messages import Header, Kind, control, said
from services.training.engine.ps.transport import Connection, Transport
from shared.errors import UnavailableError


class Server:
    """Serves groups, each with a job of its own, until their coordinators have ended.

    Args:
        transport: To reach second servers.
        build: Makes the job that a coordinator orders.
    """

    def __init__(self, transport: Transport, build: Build) -> None:
        self._transport, self._build = transport, build
        self._groups: dict[str, ServedGroup] = {}
        self._of: dict[Connection, ServedGroup] = {}
        self._coordinators: dict[Connection, Callable[[bool], None]] = {}
        self.error: Exception | None = None

    def attend(self, coordinator: Connection, on_end: Callable[[bool], None]) -> None:
        """Serve that coordinator; `on_end(is_over)` when it says so or is lost."""
        self._coordinators[coordinator] = on_end

    def room(self, header: Header) -> memoryview:
        """Fresh memory: what arrives is kept without being copied."""
        return as_bytes(aligned(header.body, np.dtype(np.uint8)))

    def received(self, connection: Connection, header: Header, body: memoryview) -> None:
        """Act on a message."""
        if header.kind == Kind.CONTROL:
            self._said(connection, dict(said(body)))
            return
        group = self._of[connection]
        if header.kind == Kind.GRADIENT:
            group.add(header, body)
        elif header.kind == Kind.STATE and connection is group.coordinator:
            group.load(header, body)
        elif header.kind == Kind.STATE:
            group.follow(header, body)
        elif header.kind == Kind.TOTAL:
            group.repeat(connection, header, body)
        elif header.kind == Kind.KEPT:
            group.release(header)

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """Send no more there; a fault of this server's own is told to the coordinators."""
        if error is not None:
            self.error = error
            for each in self._coordinators:
                each.send(*control("failed", error=repr(error)))
        group = self._of.pop(connection, None)
        if group is not None:
            group.dismiss(connection)
        self._end(connection, is_over=error is not None)

    def _said(self, connection: Connection, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "open":
            group = ServedGroup(self._build(message["order"]), connection, message["start"])
            self._groups[message["group"]] = self._of[connection] = group
            connection.send(*control("opened"))
        elif kind == "join":
            group = self._of[connection] = self._groups[message["group"]]
            if message["role"] == "worker":
                group.welcome(connection)
        elif kind == "second":
            self._replicate(self._of[connection], message)
        elif kind == "loaded":
            self._of[connection].loaded(message["owner"])
        elif kind == "complete":
            self._of[connection].complete(message["owner"])
        elif kind == "alone":
            self._of[connection].part_from_second(message["owner"])
        elif kind == "take over":
            self._of[connection].take_over(message["owner"])
        elif kind == "collect":
            self._of[connection].send_states(connection)
        elif kind == "stop":
            self._end(connection, is_over=True)

    def _replicate(self, group: ServedGroup, message: dict[str, Any]) -> None:
        try:
            second = self._transport.connect(message["address"], self)
        except UnavailableError:  # just lost; the coordinator will name another
            return
        self._of[second] = group
        second.send(*control("join", group=message["group"], role="server"))
        group.replicate(message["owner"], second)

    def _end(self, coordinator: Connection, *, is_over: bool) -> None:
        on_end = self._coordinators.pop(coordinator, None)
        if on_end is not None:
            on_end(is_over)
