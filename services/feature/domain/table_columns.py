"""What each column of a table is, and its cells as numbers, places of words or texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.feature.domain.table_errors import unreadable
from shared.config.table import ColumnKind, TablePrediction, canonical
from shared.dataset.tables import TableColumn

MOST_WORDS = 1_000
"""A column of more words than this names rows rather than describing them."""

Cells = npt.NDArray[Any]


@dataclass(frozen=True)
class ReadColumn:
    """A column and its cells: float32, int32 places of words, or texts."""

    column: TableColumn
    cells: Cells


def read_columns(table: pa.Table, question: TablePrediction) -> tuple[ReadColumn, ...]:
    """Read every column that the question does not set aside; numbers and flags come first.

    Raises:
        InvalidArgumentError: A column is not there, or cannot be read as what it should be.
    """
    require_named(table, question)
    if question.texts:
        return tuple(_text(name, table.column(name)) for name in question.texts)
    aside = {question.target.column, question.id, *question.exclude}
    names = [name for name in table.column_names if name not in aside]
    if not names:
        raise unreadable("", "", "no column is left to predict from; exclude fewer")
    read = [_read(name, table.column(name), question.columns.get(name)) for name in names]
    return tuple(sorted(read, key=lambda each: each.column.kind == "category"))


def require_named(table: pa.Table, question: TablePrediction) -> None:
    """Refuse a question about a column that the table does not have."""
    named = [question.target.column, *question.texts, *question.exclude, *question.columns]
    for name in [*named, *([question.id] if question.id else [])]:
        if table.column_names.count(name) != 1:
            near = get_close_matches(name, table.column_names, n=1, cutoff=0.0)
            raise unreadable("", name, f"the table has no such column; did you mean {near[0]!r}?")


def excluded(table: pa.Table, question: TablePrediction) -> Mapping[str, str]:
    """Every column that is not predicted from, with the reason."""
    reasons = {question.target.column: "it is the answer"}
    if question.id:
        reasons[question.id] = "it names the row"
    reasons |= question.exclude
    if question.texts:
        others = [name for name in table.column_names if name not in (*reasons, *question.texts)]
        reasons |= dict.fromkeys(others, "source.columns does not name it")
    return reasons


def labels_of(table: pa.Table, question: TablePrediction) -> npt.NDArray[np.bool_]:
    """Whether each row's answer is the positive one.

    Raises:
        InvalidArgumentError: An answer is missing, or none is the positive one.
    """
    name, positive = question.target.column, question.target.positive
    cells = table.column(name)
    if cells.null_count:
        row = cells.is_null().to_pylist().index(True)
        raise unreadable("", name, "the answer is missing", row)
    words = np.array([canonical(value) for value in cells.to_pylist()], object)
    is_positive: npt.NDArray[np.bool_] = words == positive
    if not is_positive.any():
        seen = ", ".join(map(repr, sorted(set(words))[:5]))
        raise unreadable("", name, f"no row has target.positive {positive!r}; there are {seen}")
    return is_positive


def _read(name: str, cells: pa.ChunkedArray, asked: ColumnKind | None) -> ReadColumn:
    kind = asked or _kind(name, cells)
    if kind == "category":
        return _category(name, cells)
    values = _numbers(cells)
    if values is None:
        raise unreadable("", name, f"holds words, and columns has it as {kind}")
    if kind == "flag" and not set(np.unique(values[~np.isnan(values)])) <= {0.0, 1.0}:
        raise unreadable("", name, "is a flag, so its values must be 0 and 1, or false and true")
    missing = int(np.isnan(values).sum())
    return ReadColumn(TableColumn(name, kind, missing=missing), values)


def _kind(name: str, cells: pa.ChunkedArray) -> ColumnKind:
    """What a column looks like."""
    kind = cells.type
    if pa.types.is_boolean(kind):
        return "flag"
    if pa.types.is_temporal(kind):
        raise unreadable(
            "", name, "holds times, and a table has none; exclude it or bring days as a number"
        )
    return "category" if _numbers(cells) is None else "number"


def _numbers(cells: pa.ChunkedArray) -> npt.NDArray[np.float32] | None:
    """The cells as numbers, NaN where one is missing; None if there are words."""
    kind = cells.type
    if pa.types.is_dictionary(kind):
        return None
    if _is_text(kind):
        bare = pc.utf8_trim_whitespace(cells)
        cells = pc.if_else(pc.equal(bare, ""), pa.scalar(None, kind), bare)
        if cells.null_count == len(cells):
            return None
    elif not (pa.types.is_boolean(kind) or _is_number(kind)):
        return None
    try:
        if pa.types.is_boolean(kind):
            cells = pc.cast(cells, pa.int8())
        wide = pc.cast(cells, pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    finite: npt.NDArray[np.float32] = np.where(np.isfinite(wide), wide, np.nan).astype(np.float32)
    return finite


def _category(name: str, cells: pa.ChunkedArray) -> ReadColumn:
    words = [None if value is None else canonical(value) for value in cells.to_pylist()]
    values = sorted({word for word in words if word})
    if len(values) > MOST_WORDS:
        raise unreadable(
            "",
            name,
            f"holds {len(values)} words, at most {MOST_WORDS} can be told apart; if it names the "
            "rows say so with `id`, else exclude it with the reason",
        )
    place = {word: number for number, word in enumerate(values)}
    codes = np.array([place.get(word, -1) if word else -1 for word in words], np.int32)
    return ReadColumn(TableColumn(name, "category", tuple(values), int((codes < 0).sum())), codes)


def _text(name: str, cells: pa.ChunkedArray) -> ReadColumn:
    if not _is_text(cells.type):
        raise unreadable("", name, f"must be text, not {cells.type}")
    texts = np.array([value or "" for value in cells.to_pylist()], object)
    missing = sum(not text.strip() for text in texts)
    return ReadColumn(TableColumn(name, "text", missing=missing), texts)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    )
