"""What the use cases need of the world, in their own words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.ingestion.domain import mapping as mappings
from services.ingestion.domain.batch import Batch


@dataclass(frozen=True)
class Layout:
    """How the bytes of a rejected row are to be read again."""

    format: str
    """csv or jsonl."""
    mapping: str
    """Name of a built-in mapping, or the text of a mapping file."""
    columns: tuple[str, ...] = ()
    delimiter: str = ","
    is_live: bool = False
    """Whether it came as an event of its time and not out of a file."""


@dataclass(frozen=True)
class Letter:
    """The bytes of a rejected row."""

    rejection_id: str
    payload: bytes
    layout: Layout


class Vault(Protocol):
    """Keeps outside the warehouse what may tell who somebody is."""

    def remember(self, keys: Sequence[int], source_ids: Sequence[str]) -> None:
        """Store whom keys of users stand for.

        Raises:
            FailedPreconditionError: A key stands for another id already.
        """

    def source_ids(self, keys: Sequence[int]) -> list[str]:
        """Return whom keys stand for, in their order; empty text where unknown."""

    def keep(self, letters: Sequence[Letter]) -> None:
        """Store the bytes of rejected rows; those stored before stay."""

    def letters(self, rejection_ids: Sequence[str]) -> Mapping[str, Letter]:
        """Return the stored letters among some."""

    def close(self) -> None:
        """Let go of the files."""


class Source(Protocol):
    """A file, opened and recognised."""

    @property
    def mapping(self) -> mappings.Mapping:
        """How its rows are read."""

    @property
    def layout(self) -> Layout:
        """How bytes of its rows are to be read again."""

    @property
    def total_rows(self) -> int:
        """Rows in all, as well as it is known by now; 0 while unknown."""

    def batches(self) -> Iterator[Batch]:
        """Yield the rows in order and in bounded memory."""


class Sources(Protocol):
    """Opens files and reads letters again."""

    def open(self, uri: str, mapping: str, source: str = "") -> Source:
        """Open a file.

        Args:
            uri: Path or file URI.
            mapping: Name of a built-in mapping, text of a mapping file, or empty to detect.
            source: Name of the source instead of the mapping's.

        Raises:
            InvalidArgumentError: It cannot be read, is empty, or its columns are not the mapping's.
        """

    def mapping(self, mapping: str, source: str = "") -> mappings.Mapping:
        """Return a mapping by its name or text."""

    def reread(self, letters: Sequence[Letter], mapping: mappings.Mapping) -> Batch:
        """Return rejected rows as a batch; places count the letters. All have one layout."""


@dataclass(frozen=True)
class Tally:
    """What became of rows."""

    row_count: int = 0
    accepted_row_count: int = 0
    duplicate_row_count: int = 0
    rejected_row_count: int = 0
    anonymous_row_count: int = 0
    event_count: int = 0
    rejections: tuple["Refusal", ...] = field(default=(), repr=False)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.row_count + other.row_count,
            self.accepted_row_count + other.accepted_row_count,
            self.duplicate_row_count + other.duplicate_row_count,
            self.rejected_row_count + other.rejected_row_count,
            self.anonymous_row_count + other.anonymous_row_count,
            self.event_count + other.event_count,
        )

    def counts(self) -> dict[str, int]:
        """Return the counts by name."""
        return {name: value for name, value in vars(self).items() if name != "rejections"}


@dataclass(frozen=True)
class Refusal:
    """Why one row was not stored, in words that hold nothing of its content."""

    row: int
    reason: str
    field: str
    message: str


class Intake(Protocol):
    """Takes batches of one source in."""

    def take(self, batch: Batch) -> Tally:
        """Take rows in; what waits for the rest of the source is not counted yet."""

    def finish(self) -> Tally:
        """Store what waited."""
