"""Datasets of labelled rows of a table, or of labelled texts, on disk: Arrow and a manifest."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.dataset.manifest import FORMAT_VERSION, read_values
from shared.dataset.staging import Staging, read_batches

KIND = "table"
TEST = -1
"""Fold of rows that no fold is fitted to; the final model is judged on them."""


@dataclass(frozen=True)
class TableColumn:
    """One column that a model may read.

    Attributes:
        name: As in the file.
        kind: "number", "flag", "category" or "text".
        values: Words of a category in their order; a cell holds the place of its word.
        missing: Rows without a value.
    """

    name: str
    kind: str
    values: tuple[str, ...] = ()
    missing: int = 0


@dataclass(frozen=True)
class TableRows:
    """Labelled rows.

    Attributes:
        numbers: float32 [row, column], numbers and flags; NaN is missing.
        codes: int32 [row, column], places of categories' words; -1 is missing.
        texts: str [row, column]; empty is missing.
        labels: bool [row], whether the answer is the positive one.
        folds: int8 [row], the part of the cross-validation that judges the row, or `TEST`.
        groups: uint64 [row], equal for rows that must stay together.
        places: int32 [row], number of the row among those of its kind of files, from 0.
    """

    numbers: npt.NDArray[np.float32]
    codes: npt.NDArray[np.int32]
    texts: npt.NDArray[np.object_]
    labels: npt.NDArray[np.bool_]
    folds: npt.NDArray[np.int8]
    groups: npt.NDArray[np.uint64]
    places: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, chosen: npt.NDArray[Any]) -> "TableRows":
        """The rows of a mask or of places."""
        return TableRows(**{name: value[chosen] for name, value in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class TableManifest:
    """What a dataset of a table holds and what it was made of."""

    name: str
    purpose: str
    predictions: tuple[str, ...]
    columns: tuple[TableColumn, ...]
    """Numbers and flags in the order of the matrix, then categories, then texts."""
    excluded: Mapping[str, str]
    """Columns that are not read, with the reason."""
    target: str
    positive: str
    fold_counts: tuple[tuple[int, int], ...]
    """Rows of each fold, and how many of them are positive."""
    test_count: int
    """Rows that no fold is fitted to."""
    row_count: int
    content_hash: str
    shards: tuple[str, ...]
    source_files: Mapping[str, str]
    """SHA-256 of each file that was read, by its name."""
    kind: str = KIND
    format_version: int = FORMAT_VERSION

    def of(self, *kinds: str) -> tuple[TableColumn, ...]:
        """The columns of these kinds, in order."""
        return tuple(column for column in self.columns if column.kind in kinds)


class TableDatasetReader:
    """The rows and the manifest of one dataset of a table.

    Args:
        folder: What `Dataset.uri` names.

    Raises:
        FailedPreconditionError: There is no dataset of a table, or one of another format.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        self._manifest = _manifest(read_values(self._folder, KIND))

    @property
    def manifest(self) -> TableManifest:
        """What the dataset says of itself."""
        return self._manifest

    def rows(self) -> TableRows:
        """All rows, in order."""
        table = pa.Table.from_batches(read_batches(self._folder, self._manifest.shards))
        manifest, count = self._manifest, table.num_rows

        def stacked(kinds: tuple[str, ...], dtype: Any) -> npt.NDArray[Any]:
            names = [column.name for column in manifest.of(*kinds)]
            cells = [np.asarray(table.column(f"c:{name}").to_numpy()) for name in names]
            empty = np.empty((count, 0), dtype)
            return np.stack(cells, axis=1).astype(dtype) if cells else empty

        return TableRows(
            stacked(("number", "flag"), np.float32),
            stacked(("category",), np.int32),
            stacked(("text",), np.object_),
            table.column("label").to_numpy(),
            table.column("fold").to_numpy(),
            table.column("group").to_numpy(),
            table.column("place").to_numpy(),
        )


def write_table(
    folder: Path,
    rows: TableRows,
    *,
    name: str,
    predictions: tuple[str, ...],
    columns: tuple[TableColumn, ...],
    excluded: Mapping[str, str],
    target: str,
    positive: str,
    source_files: Mapping[str, str],
) -> TableManifest:
    """Write a dataset of a table that is there whole or not at all; an old one is replaced.

    Args:
        folder: Where the dataset shall be.
        rows: What it holds.
        name: datasets/{dataset}
        predictions: Names of the predictions it serves.
        columns: What the rows' columns are.
        excluded: Columns that are not read, with the reason.
        target: Column of the answer.
        positive: Value of it that counts as positive.
        source_files: SHA-256 of each file that was read.
    """
    with Staging(folder) as staging:
        staging.write(_to_arrow(rows, columns))
        fitted = rows.where(rows.folds != TEST)
        counts = np.bincount(fitted.folds)
        positives = np.bincount(fitted.folds, weights=fitted.labels).astype(int)
        manifest = TableManifest(
            name=name,
            purpose="training",
            predictions=predictions,
            columns=columns,
            excluded=excluded,
            target=target,
            positive=positive,
            fold_counts=tuple(zip(counts.tolist(), positives.tolist(), strict=True)),
            test_count=len(rows) - len(fitted),
            row_count=len(rows),
            content_hash=content_hash(rows, columns, target, positive),
            shards=staging.shards,
            source_files=source_files,
        )
        staging.finish(manifest)
    return manifest


def content_hash(
    rows: TableRows, columns: tuple[TableColumn, ...], target: str, positive: str
) -> str:
    """SHA-256 over what the columns are and the values of each."""
    names = [[column.name, column.kind, column.values] for column in columns]
    whole = hashlib.sha256(json.dumps([names, target, positive]).encode())
    for values in (rows.numbers, rows.codes, rows.labels, rows.folds, rows.groups, rows.places):
        whole.update(hashlib.sha256(np.ascontiguousarray(values).tobytes()).digest())
    for text in rows.texts.reshape(-1):
        whole.update(hashlib.sha256(str(text).encode()).digest())
    return whole.hexdigest()


def _to_arrow(rows: TableRows, columns: tuple[TableColumn, ...]) -> pa.RecordBatch:
    cells = {
        "label": pa.array(rows.labels),
        "fold": pa.array(rows.folds, pa.int8()),
        "group": pa.array(rows.groups, pa.uint64()),
        "place": pa.array(rows.places, pa.int32()),
    }
    for kinds, matrix in (
        (("number", "flag"), rows.numbers),
        (("category",), rows.codes),
        (("text",), rows.texts),
    ):
        found = [column for column in columns if column.kind in kinds]
        for place, column in enumerate(found):
            cells[f"c:{column.name}"] = pa.array(matrix[:, place])
    return pa.record_batch(cells)


def _manifest(values: Mapping[str, Any]) -> TableManifest:
    return TableManifest(
        **{
            **values,
            "predictions": tuple(values["predictions"]),
            "columns": tuple(
                TableColumn(**{**each, "values": tuple(each["values"])})
                for each in values["columns"]
            ),
            "fold_counts": tuple((rows, positive) for rows, positive in values["fold_counts"]),
            "shards": tuple(values["shards"]),
        }
    )
