"""A server: keeps parts of any number of groups and acts on what it is sent."""

import weakref
from typing import Any

from services.training.engine.ps.group import ServedGroup
from services.training.engine.ps.job import Build
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
        self._lost: weakref.WeakSet[Connection] = weakref.WeakSet()
        self.error: Exception | None = None

    def room(self, header: Header) -> None:
        """Anywhere: what arrives is kept without being copied."""

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
        """Send no more there; a fault of this server's own is told to the group's coordinator."""
        self._lost.add(connection)
        group = self._of.pop(connection, None)
        if group is not None:
            group.dismiss(connection)
        if error is not None:
            self.error = error
            if group is not None:
                group.coordinator.send(*control("failed", error=repr(error)))

    def _said(self, connection: Connection, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "open":
            group = ServedGroup(self._build(message["order"]), connection, message["start"])
            self._groups[message["group"]] = self._of[connection] = group
            connection.send(*control("opened"))
        elif kind == "join":
            self._join(connection, message)
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
            self._of[connection].send_states(connection, message["number"])
        elif kind == "stop":
            for name, group in list(self._groups.items()):
                if group.coordinator is connection:
                    del self._groups[name]

    def _join(self, connection: Connection, message: dict[str, Any]) -> None:
        group = self._groups.get(message["group"])
        if group is None:  # it has ended while this peer was on its way
            connection.drop()
            return
        self._of[connection] = group
        if message["role"] == "worker":
            group.welcome(connection)

    def _replicate(self, group: ServedGroup, message: dict[str, Any]) -> None:
        try:
            second = self._transport.connect(message["address"], self)
        except UnavailableError:  # just lost; the coordinator will name another
            return
        self._of[second] = group
        second.send(*control("join", group=message["group"], role="server"))
        group.replicate(message["owner"], second)
        if second in self._lost:  # before it was known whose it is
            group.dismiss(second)
