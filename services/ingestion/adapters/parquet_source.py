"""Parquet files."""

import math
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from services.ingestion.adapters.blocks import unreadable
from services.ingestion.domain.batch import JSON_COLUMN, Batch, Broken
from services.ingestion.domain.mapping import Mapping, SourceKind
from services.ingestion.domain.reasons import Reason
from services.ingestion.usecases.ports import Layout

BATCH_ROWS = 1 << 19


class ParquetSource:
    """A Parquet file, opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with pq.ParquetFile(path) as file:
                schema = file.schema_arrow
                self.columns = tuple(schema.names)
                self.has_objects = any(pa.types.is_nested(kind) for kind in schema.types)
                self._rows = int(file.metadata.num_rows)
        except (pa.ArrowException, OSError) as error:
            raise unreadable(path, f"it is no whole Parquet file ({error})") from error

    def bound_to(self, mapping: Mapping, layout_mapping: str) -> "BoundParquet":
        """Return the file under a mapping."""
        return BoundParquet(self._path, self._rows, mapping, Layout("jsonl", layout_mapping))


class BoundParquet:
    """A Parquet file and how its rows are read."""

    def __init__(self, path: Path, total_rows: int, mapping: Mapping, layout: Layout) -> None:
        self._path = path
        self.total_rows = total_rows
        self.mapping, self.layout = mapping, layout

    def batches(self) -> Iterator[Batch]:
        """Yield the rows in order."""
        first = 0
        try:
            with pq.ParquetFile(self._path) as file:
                for record_batch in file.iter_batches(BATCH_ROWS):
                    table = pa.Table.from_batches([record_batch])
                    yield _batch(table, first, self.mapping)
                    first += table.num_rows
        except (pa.ArrowException, OSError) as error:
            raise unreadable(self._path, f"it is damaged ({error})") from error


def _batch(table: pa.Table, first: int, mapping: Mapping) -> Batch:
    rows = np.arange(first, first + table.num_rows)
    whole, is_whole, columns = table, np.ones(table.num_rows, dtype=np.bool_), {}
    culprit = ""
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_nested(column.type):
            column = pa.array([_json_text(v) for v in column.to_pylist()], pa.string())
        elif _is_binary(column.type):
            column, is_text = _from_binary(column)
            if not is_text.all():
                is_whole &= is_text
                culprit = culprit or name
        columns[name] = column
    table = pa.table(columns)
    broken: list[Broken] = []
    if not is_whole.all():
        bad = np.flatnonzero(~is_whole)
        payloads = _payloads(whole, bad.tolist())
        broken = [
            Broken(int(rows[place]), Reason.BAD_ENCODING, culprit, payload)
            for place, payload in zip(bad.tolist(), payloads, strict=True)
        ]
        whole, table, rows = whole.filter(is_whole), table.filter(is_whole), rows[is_whole]
    if mapping.kind is SourceKind.SEGMENT:
        json = [orjson.dumps(row, default=_jsonable) for row in whole.to_pylist()]
        table = pa.table({JSON_COLUMN: pa.array(json, pa.large_binary())})
    return Batch(table, pa.array(rows), lambda places: _payloads(whole, places), broken)


def _payloads(table: pa.Table, places: Sequence[int]) -> list[bytes]:
    chosen = table.take(pa.array(places, pa.int64())).to_pylist()
    return [
        orjson.dumps({name: _plain(value) for name, value in row.items()}, default=_jsonable)
        for row in chosen
    ]


def _from_binary(column: pa.ChunkedArray) -> tuple[pa.Array, "np.ndarray[Any, np.dtype[np.bool_]]"]:
    try:
        return column.cast(pa.string()), np.ones(len(column), dtype=np.bool_)
    except pa.ArrowInvalid:
        texts = [_decoded(value) for value in column.to_pylist()]
        is_text = [
            text is not None or not known.is_valid
            for text, known in zip(texts, column, strict=True)
        ]
        return pa.array(texts, pa.string()), np.array(is_text)


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _is_binary(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    )


def _json_text(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value, default=_jsonable).decode()


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)
