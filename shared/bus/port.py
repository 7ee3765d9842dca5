"""What goes over the bus, and what reads and writes it."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes]]


class Partition(NamedTuple):
    """One ordered log of a topic."""

    topic: str
    """Full name, with the workspace's prefix."""
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"


class Record(Protocol):
    """A message as it was read, in the shape of the client's own object: reading copies nothing."""

    @property
    def offset(self) -> int:
        """Place in the partition; places of aborted messages and of markers are missing."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970 at which it was sent."""

    @property
    def key(self) -> bytes | None:
        """Whom it is about; equal keys share a partition."""

    @property
    def value(self) -> bytes | None:
        """The bytes; None is a tombstone."""

    @property
    def headers(self) -> Headers:
        """Names and bytes; a name may come more than once."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send."""

    topic: str
    """Full name, with the workspace's prefix."""
    key: bytes | None
    """Whom it is about, as text in UTF-8; None spreads messages over the partitions."""
    value: bytes | None
    """The bytes; None is a tombstone, which needs a key."""
    headers: Headers = ()
    timestamp: int | None = None
    """Milliseconds since 1970; now when left out."""
    partition: int | None = None
    """Chosen by the key when left out."""


class Listener(Protocol):
    """Hears which partitions a member of a group has.

    The client calls it from a thread of its own, possibly while the polling thread works: guard
    what both touch. Its members must return well before the session times out.
    """

    def assigned(self, partitions: Collection[Partition]) -> None:
        """Take note of new partitions; call `Reader.seek` after the poll, not here."""

    def revoked(self, partitions: Collection[Partition]) -> None:
        """Finish what was read of these partitions: the next member starts after this returns."""

    def lost(self, partitions: Collection[Partition]) -> None:
        """Forget what was read of these partitions: another member has them already."""


class Reader(Protocol):
    """Reads partitions in their order; what a transaction aborted is never returned.

    Only one thread may use it. A broker that is away is waited for in `poll`.
    """

    def poll(self, seconds: float, most: int) -> Mapping[Partition, Sequence[Record]]:
        """Return the next records, at most so many in all; empty when none came in time."""

    def seek(self, partition: Partition, offset: int) -> None:
        """Read on from an offset."""

    def hold(self, partitions: Collection[Partition]) -> None:
        """Read nothing of these partitions until held no more; the others flow."""

    def commit(self, next_offsets: Mapping[Partition, int]) -> None:
        """Tell the broker where a restart would read on, for tools that show lag; never waits."""

    def close(self) -> None:
        """Leave the group; a listener hears first what it must finish."""


class Writer(Protocol):
    """Sends messages, each once and in order within its partition, also when a send is repeated."""

    def send(self, message: Message) -> None:
        """Queue a message; waits while the queue is full.

        Raises:
            InvalidArgumentError: It is too large for its topic, or a tombstone without a key.
            UnavailableError: No broker took anything for a while, or an earlier message failed.
        """

    def flush(self) -> None:
        """Return once all queued messages are stored.

        Raises:
            UnavailableError: One of them could not be stored; it may be sent again.
        """

    def transaction(self) -> AbstractContextManager[None]:
        """Let readers see all messages of the block or, where it raises, none.

        Raises:
            FailedPreconditionError: The writer has no name, or another one took its name over.
        """

    def close(self) -> None:
        """Send what is queued, for as long as a send may take, and let go."""
