"""Takes one request in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.console.domain import messages
from services.console.usecases.collect import Collector
from services.console.usecases.ports import KeyRing, Rejection
from shared.errors import UnauthenticatedError


@dataclass(frozen=True)
class Taken:
    """What became of the messages of a request."""

    stored_count: int
    """Stored now or before."""
    rejections: Sequence[Rejection]


@dataclass(frozen=True)
class Door:
    """Lets in who has a key, and stores what they bring."""

    keys: KeyRing
    collector: Collector
    now: Callable[[], datetime]
    """The clock, in UTC."""
    new_id: Callable[[], str]
    """Makes message ids."""

    def take(self, kind: str, body: bytes, key: str) -> Taken:
        """Return once everything in a body is durable.

        Args:
            kind: What its path says it is.
            body: JSON, unpacked.
            key: The write key that came beside it; empty when it is in the body.

        Raises:
            UnauthenticatedError: Nobody has this key.
            InvalidArgumentError: The body is not made as the spec says; nothing is stored.
            DomainError: It could not be stored; it may be sent again.
        """
        received = self.now()
        source = self._source(key) if key else ""
        if len(body) > messages.limit(kind):
            raise messages.too_large(kind)
        request = messages.parse(body)
        source = source or self._source(messages.write_key(request))
        stamp = received.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        found = messages.messages(request, kind, received_at=stamp, new_id=self.new_id)
        rejections = self.collector.store(found, source) if found else ()
        return Taken(len(found) - len(rejections), rejections)

    def _source(self, key: str) -> str:
        source = self.keys.source_of(key) if key else None
        if source is None:
            what = "this write key is unknown or revoked" if key else "there is no write key"
            raise UnauthenticatedError(
                f"{what}; send one as the user name of HTTP Basic or as writeKey in the body",
                reason="UNKNOWN_WRITE_KEY",
            )
        return source
