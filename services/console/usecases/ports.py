"""What the door needs of the world, in its own words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Rejection:
    """Why one message was not stored as an event; it is kept, to be replayed once mended."""

    index: int
    """Place among the messages sent, from 0."""
    reason: str
    field: str
    message: str


class Ingester(Protocol):
    """Stores messages."""

    def ingest(self, messages: Sequence[bytes], source: str) -> Sequence[Rejection]:
        """Return once all are durable, with why some could not become events.

        Raises:
            DomainError: None is stored, or it is not known; the same may be sent again.
        """


class KeyRing(Protocol):
    """Knows the write keys."""

    def source_of(self, key: str) -> str | None:
        """Return whose key this is; None when it is nobody's."""
