"""The part of a report that tells of discovered segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from pipelines.report import numbers, specs
from pipelines.report.charts import HALF, Chart, segment_chart
from pipelines.report.draw import svg
from pipelines.report.inputs import ReportInputs
from pipelines.segments.discovered import Discovered
from pipelines.segments.profiles import Profile

_DARKEST = 0.55


@dataclass(frozen=True)
class Row:
    """One segment of the table."""

    id: int
    name: str
    profile: Profile


@dataclass(frozen=True)
class Moves:
    """Customers of one earlier segment by the segment they are in now.

    Attributes:
        name: The earlier segment.
        cells: Customers and how dark their cell is, by present segment.
        total: All of them.
    """

    name: str
    cells: tuple[tuple[int, float], ...]
    total: int


@dataclass(frozen=True)
class Block:
    """What the part says and shows."""

    sentences: tuple[str, ...]
    rows: tuple[Row, ...]
    now: tuple[str, ...]
    moves: tuple[Moves, ...]
    totals: tuple[int, ...]
    period_days: int
    shares: Chart
    map: Chart


def block_of(inputs: ReportInputs) -> Block | None:
    """Words and draws the part; None where there are no segments."""
    found = inputs.segments
    if found is None:
        return None
    before, now, counts = found.migration()
    rows = tuple(
        Row(number, found.names[number], profile) for number, profile in found.profiles.items()
    )
    return Block(
        sentences=_sentences(inputs, found),
        rows=rows,
        now=tuple(found.names[number] for number in now),
        moves=tuple(
            _moves(found.names[number], of_row)
            for number, of_row in zip(before, counts, strict=True)
        ),
        totals=tuple(counts.sum(axis=0).tolist()) if len(before) else (0,) * len(now),
        period_days=found.period_days,
        shares=segment_chart(
            [
                {
                    "segment": row.name,
                    "customers": row.profile.customer_share,
                    "spend": row.profile.value_share,
                }
                for row in rows
            ],
            "discovered",
        ),
        map=_map(found),
    )


def _sentences(inputs: ReportInputs, found: Discovered) -> tuple[str, ...]:
    number, best = max(found.profiles.items(), key=lambda pair: pair[1].value)
    told = found.summary()
    sentences = [
        f"Customers who have ordered fall into {len(found.profiles)} groups that behave alike. The "
        f"most valuable, “{found.names[number]}”, holds {numbers.percent(best.customer_share)} of "
        f"them and {numbers.percent(best.value_share)} of the spend expected in "
        f"{inputs.horizon_days} days."
    ]
    if known := told["known_in_both_periods"]:
        sentences.append(
            f"Of {numbers.count(known)} customers known {found.period_days} days earlier, "
            f"{numbers.percent(told['stayed'] / known)} are in the group they were in then."
        )
    if found.appeared:
        sentences.append(f"New since the last fit: {_listed(found.appeared)}.")
    if found.gone:
        sentences.append(f"No longer found: {_listed(found.gone)}.")
    sentences.append(
        "A group keeps its name and number when the model is fitted again, as long as most of its "
        "customers stay together; names say what set it apart when it was first found. The group "
        "of each customer is in segments.csv."
    )
    return tuple(sentences)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"“{name}”" for name in names)


def _moves(name: str, counts: np.ndarray[Any, Any]) -> Moves:
    total = int(counts.sum())
    cells = tuple(
        (int(count), round(_DARKEST * count / total, 2) if total else 0.0) for count in counts
    )
    return Moves(name, cells, total)


def _map(found: Discovered) -> Chart:
    placed = found.map
    rows = [
        {"x": x, "y": y, "segment": found.names[number]}
        for x, y, number in zip(placed.x, placed.y, placed.segment, strict=True)
    ]
    names = [found.names[number] for number in found.profiles]
    told = (
        f"{numbers.count(len(rows))} customers where the model places them; those close together "
        f"behave alike. The two directions show {numbers.percent(placed.kept_share)} of all "
        f"differences. Groups: {', '.join(names)}."
    )
    return Chart(svg(specs.embedding_map(rows, names, HALF), "map", told), Markup(), told)
