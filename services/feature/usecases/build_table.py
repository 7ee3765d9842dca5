"""Builds datasets of tables and texts: reads, types, folds, files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.feature.domain.rules import Rule, require
from services.feature.domain.table_columns import (
    ReadColumn,
    excluded,
    labels_of,
    read_columns,
    require_named,
)
from services.feature.domain.table_folds import folds_of, groups_of
from services.feature.domain.table_rules import table_rules, telling
from services.feature.usecases.explanation import Explanation
from services.feature.usecases.ports import Watched
from shared.config.table import TablePrediction, canonical
from shared.dataset.tables import TEST, TableColumn, TableManifest, TableRows, write_table
from shared.errors import FailedPreconditionError

_STAGES = 3


class TableSource(Protocol):
    """Rows from somewhere."""

    def digests(self) -> Mapping[str, str]:
        """SHA-256 of each file by its name."""

    def read(self) -> tuple[pa.Table, int]:
        """All rows, and how many of the last ones are there to be judged on only."""


@dataclass(frozen=True)
class TablePlan:
    """A table as it would become a dataset.

    Attributes:
        rows: What it would hold.
        columns: What is predicted from.
        excluded: What is not, with the reason.
        rules: How the data stands against the least needed.
        telling: Columns that by themselves tell the answer, with their AUC.
        left_out: Rows without a text, or that belong with one that is judged on.
    """

    rows: TableRows
    columns: tuple[TableColumn, ...]
    excluded: Mapping[str, str]
    rules: tuple[Rule, ...]
    telling: Mapping[str, float]
    left_out: int


def plan_table(question: TablePrediction, table: pa.Table, judged: int = 0) -> TablePlan:
    """Look at a table; builds nothing.

    Args:
        question: What is asked.
        table: The rows.
        judged: How many of the last ones are only judged on.

    Raises:
        InvalidArgumentError: A column is missing or unreadable; the message names it.
    """
    require_named(table, question)
    total = table.num_rows
    places = np.arange(total, dtype=np.int32)
    is_test = places >= total - judged
    if question.texts:
        has_text = _has_text(table, question.texts[-1])
        table = table.filter(pa.array(has_text))
        places, is_test = places[has_text], is_test[has_text]
    read = read_columns(table, question)
    labels = labels_of(table, question)
    names = (
        None
        if question.id is None
        else [canonical(value) for value in table.column(question.id).to_pylist()]
    )
    groups = groups_of(read, names)
    folds = np.full(len(labels), TEST, np.int8)
    folds[~is_test] = folds_of(groups[~is_test], labels[~is_test], question.folds)
    # A row that belongs with one that is judged on is not fitted to.
    used = is_test | ~np.isin(groups, groups[is_test])
    fitted = used & ~is_test
    told = telling(read, labels)
    untold = Rule("columns_that_do_not_tell_the_answer", len(read) - len(told), len(read))
    rows = TableRows(
        _stacked(read, ("number", "flag"), np.float32),
        _stacked(read, ("category",), np.int32),
        _stacked(read, ("text",), np.object_),
        labels,
        folds,
        groups,
        np.where(is_test, places - (total - judged), places).astype(np.int32),
    )
    return TablePlan(
        rows=rows.where(used),
        columns=tuple(each.column for each in read),
        excluded=excluded(table, question),
        rules=(*table_rules(labels[fitted], folds[fitted], question.folds), untold),
        telling=told,
        left_out=total - int(used.sum()),
    )


def explain_table(question: TablePrediction, source: TableSource) -> Explanation:
    """Say what a dataset of a table would hold; builds nothing.

    Raises:
        InvalidArgumentError: A column or a cell is wrong; the message names it.
    """
    plan = plan_table(question, *source.read())
    fitted = plan.rows.folds != TEST
    judged = np.bincount(plan.rows.folds[fitted], minlength=question.folds).tolist()
    total = int(fitted.sum())
    folds = {f"fold {number}": (total - rows, rows) for number, rows in enumerate(judged, 1)}
    if total < len(plan.rows):
        folds["test files"] = (total, len(plan.rows) - total)
    told = {
        name: f"tells the answer by itself (AUC {auc:.3f}): exclude it"
        for name, auc in plan.telling.items()
    }
    return Explanation(
        row_count=len(plan.rows),
        folds=folds,
        features=tuple(column.name for column in plan.columns),
        excluded={**plan.excluded, **told},
        rules=plan.rules,
    )


def build_table(
    name: str, question: TablePrediction, source: TableSource, folder: Path, job: Watched
) -> TableManifest:
    """Build a dataset of a table in a folder, whole or not at all.

    Args:
        name: datasets/{dataset}
        question: What is asked.
        source: The rows.
        folder: Where the dataset shall be.
        job: Hears progress.

    Raises:
        InvalidArgumentError: A column or a cell is wrong; the message names it.
        FailedPreconditionError: There are too few rows, or a column tells the answer.
    """
    job.progress(0, _STAGES, "stages", "reading the table")
    table, judged = source.read()
    job.raise_if_cancelled()
    job.progress(1, _STAGES, "stages", "typing its columns")
    plan = plan_table(question, table, judged)
    _require_untold(plan.telling, question.target.column)
    require(plan.rules, "Bring more rows, or ask for fewer folds")
    job.raise_if_cancelled()
    job.progress(2, _STAGES, "stages", "writing")
    manifest = write_table(
        folder,
        plan.rows,
        name=name,
        predictions=(question.name,),
        columns=plan.columns,
        excluded=plan.excluded,
        target=question.target.column,
        positive=question.target.positive,
        source_files=source.digests(),
    )
    job.progress(_STAGES, _STAGES, "stages", f"{manifest.row_count:,} rows")
    return manifest


def _has_text(table: pa.Table, column: str) -> npt.NDArray[np.bool_]:
    return np.array([bool(str(cell or "").strip()) for cell in table.column(column).to_pylist()])


def _stacked(read: tuple[ReadColumn, ...], kinds: tuple[str, ...], dtype: Any) -> npt.NDArray[Any]:
    cells = [each.cells for each in read if each.column.kind in kinds]
    empty = np.empty((len(read[0].cells), 0), dtype)
    return np.stack(cells, axis=1).astype(dtype) if cells else empty


def _require_untold(telling: Mapping[str, float], target: str) -> None:
    if telling:
        listed = ", ".join(f"{name} (AUC {auc:.3f})" for name, auc in telling.items())
        raise FailedPreconditionError(
            f"{listed} tells {target} by itself, so it was known only afterwards; exclude it with "
            "the reason",
            reason="COLUMN_TELLS_ANSWER",
            column=next(iter(telling)),
        )
