"""How to reach the bus."""

import re
from dataclasses import dataclass

from shared.errors import InvalidArgumentError

_PREFIX = re.compile(r"[a-z0-9][a-z0-9_-]{0,48}")
_SERVER = re.compile(r"[^\s:,/]+:\d{1,5}")


@dataclass(frozen=True)
class BusSettings:
    """A Kafka cluster and the part of it that is one workspace's."""

    servers: tuple[str, ...]
    """Some of its brokers, as host:port."""
    prefix: str = "oriel"
    """Start of the names of the workspace's topics and groups."""

    def __post_init__(self) -> None:
        if not self.servers or not all(_SERVER.fullmatch(server) for server in self.servers):
            raise InvalidArgumentError(
                f"bus servers {','.join(self.servers)!r} must be host:port, several with commas",
                reason="BAD_BUS_SERVERS",
                servers=",".join(self.servers),
            )
        if not _PREFIX.fullmatch(self.prefix):
            raise InvalidArgumentError(
                f"bus prefix {self.prefix!r} must be lower case letters, digits, '-' and '_'",
                reason="BAD_BUS_PREFIX",
                prefix=self.prefix,
            )

    @classmethod
    def parse(cls, servers: str, prefix: str = "oriel") -> "BusSettings":
        """Read servers from one text.

        >>> BusSettings.parse("a:9092, b:9092").servers
        ('a:9092', 'b:9092')
        """
        return cls(tuple(part.strip() for part in servers.split(",")), prefix)

    def name(self, topic: str) -> str:
        """Return the full name of a topic or group of the workspace.

        >>> BusSettings(("a:9092",)).name("events.v1")
        'oriel.events.v1'
        """
        return f"{self.prefix}.{topic}"


@dataclass(frozen=True)
class ReaderLimits:
    """How much a reader holds, and how long it may say nothing."""

    fetch_bytes: int = 16 << 20
    """Most bytes of one answer of a broker; one is held beside what was returned."""
    partition_bytes: int = 2 << 20
    """Most bytes of one partition in it; no less than the largest message of the topics."""
    session_seconds: float = 10.0
    """A member silent for so long loses its partitions."""
    poll_seconds: float = 300.0
    """A member that asks for nothing for so long loses its partitions."""


READER_LIMITS = ReaderLimits()
"""What a machine of a few gigabytes holds with ease."""
