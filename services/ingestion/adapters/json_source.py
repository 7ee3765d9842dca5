"""Files with one JSON object a line."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from services.ingestion.adapters.blocks import first_bytes, line_blocks, mark_bytes
from services.ingestion.domain.batch import JSON_COLUMN, Batch, Broken
from services.ingestion.domain.mapping import Mapping, SourceKind
from services.ingestion.domain.reasons import Reason
from services.ingestion.usecases.ports import Layout

_LOOKED_AT_BYTES = 1 << 20
_LOOKED_AT_LINES = 100


class JsonSource:
    """A JSONL file, opened."""

    has_objects = True

    def __init__(self, path: Path) -> None:
        self._path = path
        start = first_bytes(path, _LOOKED_AT_BYTES)
        self._skip = mark_bytes(path, start)
        keys: dict[str, None] = {}
        for line in start[self._skip :].split(b"\n")[:_LOOKED_AT_LINES]:
            tree = _loaded(line)
            keys.update(dict.fromkeys(tree if isinstance(tree, dict) else ()))
        self.columns = tuple(keys)
        """Keys of the first objects."""

    def bound_to(self, mapping: Mapping, layout_mapping: str) -> "BoundJson":
        """Return the file under a mapping."""
        return BoundJson(self._path, self._skip, mapping, Layout("jsonl", layout_mapping))


class BoundJson:
    """A JSONL file and how its rows are read."""

    def __init__(self, path: Path, skip: int, mapping: Mapping, layout: Layout) -> None:
        self._path, self._skip = path, skip
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
        for block, _ in line_blocks(self._path, self._skip):
            lines = [line.rstrip(b"\r") for line in block.split(b"\n")]
            lines = [line for line in lines if line.strip()]
            batch = read_objects(lines, self.mapping, self._rows)
            self._rows += batch.row_count
            self._bytes += len(block)
            if batch.row_count:
                yield batch


def read_objects(lines: Sequence[bytes], mapping: Mapping, first_row: int = 0) -> Batch:
    """Return JSON objects as a batch: whole for Segment events, else a column for each key."""
    if mapping.kind is SourceKind.SEGMENT:
        rows = pa.array(range(first_row, first_row + len(lines)), pa.int64())
        table = pa.table({JSON_COLUMN: pa.array(lines, pa.large_binary())})
        return Batch(table, rows, lambda places: [lines[place] for place in places])
    good: list[dict[str, Any]] = []
    places: list[int] = []
    broken = []
    for place, line in enumerate(lines):
        tree = _loaded(line) if len(line) <= mapping.limits.field_bytes else None
        if isinstance(tree, dict):
            good.append(tree)
            places.append(place)
        else:
            broken.append(Broken(first_row + place, _reason(line, mapping), "", line))
    names = dict.fromkeys(name for tree in good for name in tree)
    columns = {name: pa.array([_text(t.get(name)) for t in good], pa.string()) for name in names}
    return Batch(
        pa.table(columns),
        pa.array([first_row + place for place in places], pa.int64()),
        lambda chosen: [lines[places[each]] for each in chosen],
        broken,
    )


def _loaded(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def _reason(line: bytes, mapping: Mapping) -> Reason:
    if len(line) > mapping.limits.field_bytes:
        return Reason.FIELD_TOO_LARGE
    try:
        line.decode()
    except UnicodeDecodeError:
        return Reason.BAD_ENCODING
    return Reason.BAD_JSON
