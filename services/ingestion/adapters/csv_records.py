"""Takes CSV records apart one by one, where a block is not clean enough to be read as a whole."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.ingestion.domain.reasons import Reason

_LARGEST_FIELD = 1 << 30
# An unclosed quote would take the rest of the file for one field.
_OPEN_FIELDS = 4


@dataclass(frozen=True)
class Dialect:
    """How the text of a file is to be read."""

    columns: tuple[str, ...]
    delimiter: str
    encoding: str
    field_bytes: int


@dataclass(frozen=True)
class Record:
    """One record of CSV: its fields, or why it has none."""

    start: int
    end: int
    """Place of its bytes in the block, line ends left out."""
    fields: tuple[str | None, ...] = ()
    reason: Reason | None = None
    column: str = ""


def records(block: bytes, dialect: Dialect, is_last: bool) -> Iterator[Record | int]:
    """Yield the records of a block; at the end the place of an unfinished one, as a number.

    Args:
        block: Whole lines.
        dialect: How to read them.
        is_last: Whether nothing follows the block.
    """
    csv.field_size_limit(_LARGEST_FIELD)
    spans = _line_spans(block)
    place = 0
    while place < len(spans):
        if not block[slice(*spans[place])].strip():
            place += 1
            continue
        feed = _Feed(block, spans, place, dialect)
        try:
            fields = next(csv.reader(feed, delimiter=dialect.delimiter))
        except csv.Error:
            fields = []
        start, end = spans[place][0], spans[feed.place - 1][1]
        if feed.is_dry and feed.is_open(fields):
            if not is_last and end - start <= _OPEN_FIELDS * dialect.field_bytes:
                yield start
                return
            yield Record(*spans[place], reason=Reason.UNCLOSED_QUOTE)
            place += 1
            continue
        if feed.place - place > 1 and len(fields) != len(dialect.columns):
            # The quote that closed this record was meant to open another.
            yield Record(*spans[place], reason=Reason.UNCLOSED_QUOTE)
            place += 1
            continue
        yield _record(start, end, fields, dialect)
        place = feed.place


class _Feed:
    """Lines of a block from a place on, decoded; counts how many a record took."""

    def __init__(
        self, block: bytes, spans: Sequence[tuple[int, int]], place: int, dialect: Dialect
    ) -> None:
        self._block, self._spans, self.place = block, spans, place
        self._encoding = dialect.encoding
        self.is_dry = False

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        if self.place >= len(self._spans):
            self.is_dry = True
            raise StopIteration
        start, end = self._spans[self.place]
        self.place += 1
        # Invalid bytes travel as surrogates, which no valid text holds.
        return self._block[start:end].decode(self._encoding, "surrogateescape") + "\n"

    def is_open(self, fields: list[str]) -> bool:
        """Say whether the last record ended because the lines did."""
        return bool(fields) and self.is_dry


def _record(start: int, end: int, fields: list[str], dialect: Dialect) -> Record:
    if len(fields) != len(dialect.columns):
        return Record(start, end, reason=Reason.WRONG_COLUMN_COUNT)
    for name, text in zip(dialect.columns, fields, strict=True):
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            return Record(start, end, reason=Reason.BAD_ENCODING, column=name)
        if size > dialect.field_bytes:
            return Record(start, end, reason=Reason.FIELD_TOO_LARGE, column=name)
    return Record(start, end, tuple(fields))


def _line_spans(block: bytes) -> list[tuple[int, int]]:
    spans = []
    start = 0
    while start < len(block):
        end = block.find(b"\n", start)
        end = len(block) if end < 0 else end
        cut = end - 1 if end > start and block[end - 1 : end] == b"\r" else end
        spans.append((start, cut))
        start = end + 1
    return spans
