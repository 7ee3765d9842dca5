"""How nodes reach each other: a port with an in-process form and one over sockets."""

from collections.abc import Hashable
from typing import Any, Protocol

from services.training.engine.ps.messages import Header

Body = Any
"""Anything that gives its bytes through the buffer protocol."""

LAST = (1 << 16) - 1
"""The priority of what nobody waits for."""

IN_FLIGHT_BYTES = 64 << 20
"""What may wait for one connection before a sender of gradients has to wait itself."""


class Connection(Hashable, Protocol):
    """A way to one peer; messages arrive by priority, and in order within one priority."""

    def send(self, header: Header, body: Body = b"", key: object = None) -> None:
        """Hand over a message; the body must not change afterwards.

        Without a key it waits while too many bytes are on their way. With one it never waits: it
        takes the place of a message of the same key that has not left yet. After the peer is lost
        it does nothing.
        """
        ...

    def close(self) -> None:
        """Send what was handed over, then part."""
        ...

    def drop(self) -> None:
        """Part at once from a peer that may not answer; what has not left yet is lost."""
        ...


class Receiver(Protocol):
    """What a node does with what arrives; called by one thread a connection."""

    def room(self, header: Header) -> memoryview | None:
        """Writable memory of `header.body` bytes for the body of a message.

        None where it may lie anywhere; it is then not written to, and may be kept.
        """
        ...

    def received(self, connection: Connection, header: Header, body: memoryview) -> None:
        """The body is there, in its room if it has one."""
        ...

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """Nothing more will come; `error` is what `received` raised, or None."""
        ...


class Transport(Protocol):
    """Opens connections."""

    def listen(self, address: str, receiver: Receiver) -> str:
        """Accept connections; the address under which others reach this one."""
        ...

    def connect(self, address: str, receiver: Receiver) -> Connection:
        """Connect to a listener.

        Raises:
            UnavailableError: Nobody listens there.
        """
        ...

    def close(self) -> None:
        """Stop listening and part from every peer."""
        ...
