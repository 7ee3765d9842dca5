"""What building needs of the world."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from services.feature.domain.persons import Edges, FirstSeen, Members


@dataclass(frozen=True)
class Extent:
    """First and last instants of the identified history; None when there is none."""

    first_event: datetime | None
    first_order: datetime | None
    last_event: datetime | None


class History(Protocol):
    """The events as known at an instant."""

    def last_event_time(self) -> datetime | None:
        """Return the instant of the last event of all, or None."""

    def extent(self, end: datetime, known_at: datetime) -> Extent:
        """Return how far the events of users reach before an instant."""

    def uniqueness(self, end: datetime, known_at: datetime) -> Mapping[str, int]:
        """Return `count` of the events that count and `unique` message ids among them."""

    def edges(self, end: datetime, known_at: datetime) -> tuple[Edges, FirstSeen]:
        """Return which keys are one person, and when user keys among them were first seen."""

    def resolution(self, name: str, members: Members) -> AbstractContextManager[str]:
        """Keep who is who beside the events while a statement reads them by person."""

    def source(self, *, by_person: bool) -> str:
        """Return the statement that a compiled one reads events from."""

    def read(
        self, sql: str, end: datetime, known_at: datetime, resolution: str
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a compiled statement."""


class Watched(Protocol):
    """Work that says how far it is and can be stopped."""

    def progress(self, completed: int, total: int, unit: str, message: str = "") -> None:
        """Say how far the work has come."""

    def raise_if_cancelled(self) -> None:
        """Stop here when a caller asked for it."""


class Unwatched:
    """Work that nobody follows."""

    def progress(self, completed: int, total: int, unit: str, message: str = "") -> None:
        """Say nothing."""

    def raise_if_cancelled(self) -> None:
        """Go on."""
