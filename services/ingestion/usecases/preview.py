"""Shows what an import would do, and stores nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from services.ingestion.domain.batch import Batch
from services.ingestion.domain.findings import Findings
from services.ingestion.domain.lines import property_columns, property_values, read_lines
from services.ingestion.domain.mapping import SourceKind
from services.ingestion.domain.reasons import Reason, message
from services.ingestion.domain.rules import Rules
from services.ingestion.domain.sizes import reject_large_fields
from services.ingestion.domain.stage import stage
from services.ingestion.domain.validate import validate
from services.ingestion.usecases.circumstances import Circumstances
from services.ingestion.usecases.stored import instant

_SHOWN_ROWS = 10
_MOST_ROWS = 1_000_000
_MICROS = 1e6
_SHOWN_TEXT = 80


@dataclass(frozen=True)
class Problem:
    """One kind of fault in one column."""

    column: str
    reason: Reason
    row_count: int
    first_row: int
    message: str


@dataclass(frozen=True)
class Preview:
    """What an import would do."""

    mapping: str
    row_count: int
    rows: Sequence[Mapping[str, Any]]
    problems: Sequence[Problem]


def preview(circumstances: Circumstances, uri: str, mapping: str, source: str) -> Preview:
    """Look at the first million rows of a file: ten as mapped, and every problem by column."""
    opened = circumstances.sources.open(uri, mapping, source)
    rules = circumstances.rules(opened.mapping)
    rows: list[Mapping[str, Any]] = []
    problems: dict[tuple[str, Reason], Problem] = {}
    row_count = 0
    for batch in opened.batches():
        findings = Findings(batch.table.num_rows)
        mapped = _lines if rules.mapping.kind is SourceKind.ORDERS else _events
        rows += mapped(batch, findings, rules, _SHOWN_ROWS - len(rows))
        places = batch.rows.to_pylist()
        for fault in findings.faults():
            _count(problems, fault.field, fault.reason, places[fault.index], fault.value)
        for broken in batch.broken:
            _count(problems, broken.field, broken.reason, broken.row, None)
        row_count += batch.row_count
        if row_count >= _MOST_ROWS:
            break
    found = sorted(problems.values(), key=lambda each: (each.column, each.reason.name))
    return Preview(opened.mapping.name, row_count, rows, found)


def _count(
    problems: dict[tuple[str, Reason], Problem],
    column: str,
    reason: Reason,
    row: int,
    value: str | None,
) -> None:
    met = problems.get((column, reason))
    if met is not None and met.first_row < row:
        problems[column, reason] = replace(met, row_count=met.row_count + 1)
        return
    shown = value if value is None or len(value) <= _SHOWN_TEXT else value[:_SHOWN_TEXT] + "…"
    count = met.row_count + 1 if met else 1
    problems[column, reason] = Problem(column, reason, count, row, message(reason, column, shown))


def _events(batch: Batch, findings: Findings, rules: Rules, count: int) -> list[Mapping[str, Any]]:
    staged = stage(batch, rules.mapping, findings)
    valid = validate(staged, findings, rules)
    places = np.flatnonzero(findings.is_good)[:count]
    chosen = pa.array(places)
    texts = {
        "message_id": staged.message_id,
        "type": staged.type,
        "event": staged.event,
        "user": staged.user_id,
        "anonymous": staged.anonymous_id,
        "order": staged.order_id,
        "properties": staged.properties,
    }
    shown = {name: column.take(chosen).to_pylist() for name, column in texts.items()}
    shown["time"] = [instant(value).isoformat() for value in valid.event_time[places]]
    shown["gross"] = (valid.money.gross[places] / _MICROS).tolist()
    shown["net"] = (valid.money.net[places] / _MICROS).tolist()
    return _rows(shown, len(places))


def _lines(batch: Batch, findings: Findings, rules: Rules, count: int) -> list[Mapping[str, Any]]:
    reject_large_fields(batch.table, findings, rules.mapping.limits.field_bytes)
    lines = read_lines(batch.table, batch.rows, findings, rules)
    lines = lines.take(np.arange(min(count, len(lines))))
    table = lines.table
    shown: dict[str, list[Any]] = {
        name: table.column(name).to_pylist() for name in ("order", "user", "product", "quantity")
    }
    shown["time"] = [instant(value).isoformat() for value in table["event_time"].to_pylist()]
    shown["unit_price"] = [value / _MICROS for value in table["price_micros"].to_pylist()]
    shown["total"] = [value / _MICROS for value in table["total_micros"].to_pylist()]
    for name in property_columns(lines):
        values = property_values(lines, name).to_pylist()
        shown[name] = [None if value is None else orjson.loads(value) for value in values]
    return _rows(shown, len(lines))


def _rows(columns: Mapping[str, list[Any]], length: int) -> list[Mapping[str, Any]]:
    return [{name: values[place] for name, values in columns.items()} for place in range(length)]
