"""CSV files: blocks are read as a whole where they are clean, record by record where not."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from services.ingestion.adapters.blocks import first_bytes, line_blocks, mark_bytes, unreadable
from services.ingestion.adapters.csv_records import Dialect, Record, records
from services.ingestion.domain.batch import Batch, Broken
from services.ingestion.domain.mapping import Mapping
from services.ingestion.domain.reasons import Reason
from services.ingestion.usecases.ports import Layout

_HEADER_BYTES = 1 << 20
_DELIMITERS = (",", ";", "\t", "|")
Span = tuple[int, int]


class CsvSource:
    """A CSV file with a header, opened."""

    has_objects = False

    def __init__(self, path: Path, delimiter: str | None, encoding: str) -> None:
        self._path = path
        start = first_bytes(path, _HEADER_BYTES)
        self._skip = mark_bytes(path, start)
        line, end, _ = start[self._skip :].partition(b"\n")
        if not end and len(start) == _HEADER_BYTES:
            raise unreadable(path, "its first line is longer than 1 MiB; is it a table?")
        text = _decoded(path, line.rstrip(b"\r"), encoding)
        self.delimiter = delimiter or max(_DELIMITERS, key=text.count)
        self.columns = tuple(
            name.strip() for name in next(csv.reader([text], delimiter=self.delimiter), [])
        )
        self._skip += len(line) + len(end)

    def bound_to(self, mapping: Mapping, layout_mapping: str) -> "BoundCsv":
        """Return the file under a mapping."""
        dialect = Dialect(
            self.columns, self.delimiter, mapping.encoding, mapping.limits.field_bytes
        )
        layout = Layout("csv", layout_mapping, self.columns, self.delimiter)
        return BoundCsv(self._path, self._skip, dialect, mapping, layout)


class BoundCsv:
    """A CSV file and how its rows are read."""

    def __init__(
        self, path: Path, skip: int, dialect: Dialect, mapping: Mapping, layout: Layout
    ) -> None:
        self._path, self._skip, self._dialect = path, skip, dialect
        self.mapping, self.layout = mapping, layout
        self._size = path.stat().st_size
        self._rows, self._bytes = 0, 0

    @property
    def total_rows(self) -> int:
        """Rows in all, guessed from those read so far."""
        return round(self._rows * max(self._size / self._bytes, 1.0)) if self._bytes else 0

    def batches(self) -> Iterator[Batch]:
        """Yield the rows in order."""
        self._rows = self._bytes = 0
        waiting = b""
        for block, is_last in line_blocks(self._path, self._skip):
            waiting += block
            batch, used = read_block(waiting, self._dialect, self._rows, is_last)
            waiting = waiting[used:]
            self._rows += batch.row_count
            self._bytes += used
            if batch.row_count:
                yield batch


def read_block(block: bytes, dialect: Dialect, first_row: int, is_last: bool) -> tuple[Batch, int]:
    """Return the rows of whole lines, and how many bytes of them were used."""
    table, spans = _at_once(block, dialect)
    if table is not None:
        rows = pa.array(np.arange(first_row, first_row + table.num_rows))
        return Batch(table, rows, _payloads(block, spans)), len(block)
    return _one_by_one(block, dialect, first_row, is_last)


def reread_records(payloads: Sequence[bytes], dialect: Dialect) -> Batch:
    """Return records kept one by one as a batch; rows count the payloads."""
    good: list[tuple[int, Record]] = []
    broken = []
    for row, payload in enumerate(payloads):
        found = next(records(payload, dialect, is_last=True), None)
        if isinstance(found, Record) and found.reason is None:
            good.append((row, found))
        else:
            reason = found.reason if isinstance(found, Record) else None
            column = found.column if isinstance(found, Record) else ""
            broken.append(Broken(row, reason or Reason.WRONG_COLUMN_COUNT, column, payload))
    table = _table([record for _, record in good], dialect)
    rows = [row for row, _ in good]
    return Batch(
        table,
        pa.array(rows, pa.int64()),
        lambda places: [payloads[rows[place]] for place in places],
        broken,
    )


def _at_once(block: bytes, dialect: Dialect) -> tuple[pa.Table | None, list[Span]]:
    text = block
    try:
        decoded = block.decode(dialect.encoding)
        if dialect.encoding != "utf-8":
            text = decoded.encode()
    except UnicodeDecodeError:
        return None, []
    del decoded
    ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n")) + 1
    if len(block) and (not len(ends) or ends[-1] != len(block)):
        ends = np.append(ends, len(block))
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    if not len(ends) or int((ends - starts).max()) > dialect.field_bytes:
        return None, []
    try:
        table = pa_csv.read_csv(
            io.BytesIO(text),
            pa_csv.ReadOptions(column_names=dialect.columns, block_size=len(text) + 1),
            pa_csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(dialect.columns, pa.string()),
                strings_can_be_null=False,
                quoted_strings_can_be_null=False,
                null_values=[],
            ),
        )
    except pa.ArrowInvalid:
        return None, []
    if table.num_rows != len(ends):
        return None, []
    return table, list(zip(starts.tolist(), ends.tolist(), strict=True))


def _one_by_one(block: bytes, dialect: Dialect, first_row: int, is_last: bool) -> tuple[Batch, int]:
    good: list[Record] = []
    rows: list[int] = []
    broken: list[Broken] = []
    row, used = first_row, len(block)
    for found in records(block, dialect, is_last):
        if isinstance(found, int):
            used = found
            break
        if found.reason is None:
            good.append(found)
            rows.append(row)
        else:
            payload = block[found.start : found.end]
            broken.append(Broken(row, found.reason, found.column, payload))
        row += 1
    spans = [(record.start, record.end) for record in good]
    table = _table(good, dialect)
    return Batch(table, pa.array(rows, pa.int64()), _payloads(block, spans), broken), used


def _table(good: Sequence[Record], dialect: Dialect) -> pa.Table:
    columns = zip(*(record.fields for record in good), strict=True)
    arrays = [pa.array(column, pa.string()) for column in columns]
    if not good:
        arrays = [pa.array([], pa.string()) for _ in dialect.columns]
    return pa.table(arrays, names=list(dialect.columns))


class _payloads:  # noqa: N801 - a function with its data
    def __init__(self, block: bytes, spans: Sequence[Span]) -> None:
        self._block, self._spans = block, spans

    def __call__(self, places: Sequence[int]) -> list[bytes]:
        return [self._block[slice(*self._spans[place])].rstrip(b"\r\n") for place in places]


def _decoded(path: Path, line: bytes, encoding: str) -> str:
    try:
        return line.decode(encoding)
    except UnicodeDecodeError as error:
        raise unreadable(
            path, f"its header is not {encoding}; name its `encoding` in a mapping file"
        ) from error
