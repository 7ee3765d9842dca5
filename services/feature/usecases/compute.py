"""Computes the rows of a dataset through compiled statements."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from services.feature.domain.persons import Edges, FirstSeen, feature_members, label_members
from services.feature.domain.question import Question
from services.feature.usecases.ports import History
from services.feature.usecases.rows import Block, collect, dataset_rows, spend_of, waits_of
from shared.dataset import DatasetArrays
from shared.features import FEATURES, Feature
from shared.features.calendar import Spine, day_start, milliseconds
from shared.features.compiler import compile_sql
from shared.features.waits import compile_waits

# The text of a statement grows with its instants, and the engine reads 256 KiB at most.
_INSTANTS_A_STATEMENT = 64


@dataclass(frozen=True)
class Made:
    """Rows of a dataset and the statements that made them."""

    arrays: DatasetArrays
    sql: str


class Computation:
    """One question at some instants, as known at an instant.

    Args:
        history: The events.
        name: Tells apart what computations keep beside the events while they run.
        question: Gives features and eligibility.
        spine: The instants.
        known_at: What became known later is left out.
    """

    def __init__(
        self, history: History, name: str, question: Question, spine: Spine, known_at: datetime
    ) -> None:
        self._history, self._name = history, name
        self._question, self._spine, self._known_at = question, spine, known_at

    def run(self) -> Made:
        """Compute the rows; where keys are one person, features and labels know it apart."""
        question, spine = self._question, self._spine
        hidden = [
            FEATURES[condition.feature]
            for condition in question.eligible.conditions
            if FEATURES[condition.feature] not in question.features
        ]
        columns = (*question.features, *dict.fromkeys(hidden))
        edges, seen = self._history.edges(spine.end, self._known_at)
        if len(edges.from_keys) == 0:
            block, sql = self._collect(columns, spine)
        else:
            block, sql = self._collect_persons(columns, edges, seen)
        if question.awaited and spine.horizon_days is not None:
            waits, wait_sql = self._waits(block, edges, seen)
            block, sql = replace(block, wait_days=waits), f"{sql};\n\n{wait_sql}"
        names = [feature.name for feature in columns]
        arrays = dataset_rows(block, spine.instants, question.eligible, names)
        if hidden:
            visible = np.ascontiguousarray(arrays.features[:, : len(question.features)])
            arrays = replace(arrays, features=visible)
        return Made(arrays, sql)

    def _collect(
        self, columns: Sequence[Feature], spine: Spine, resolution: str = ""
    ) -> tuple[Block, str]:
        has_ranges = bool(resolution)
        source = self._history.source(by_person=has_ranges)
        statements = [
            compile_sql(columns, run, source, has_ranges=has_ranges)
            for run in spine.runs(_INSTANTS_A_STATEMENT)
        ]
        batches = (
            batch
            for sql in statements
            for batch in self._history.read(sql, spine.end, self._known_at, resolution)
        )
        names = [feature.name for feature in columns]
        block = collect(batches, names, has_label=spine.horizon_days is not None)
        return block, ";\n\n".join(statements)

    def _collect_persons(
        self, columns: Sequence[Feature], edges: Edges, seen: FirstSeen
    ) -> tuple[Block, str]:
        spine = self._spine
        starts = [instant.time_ms for instant in spine.instants]
        members = feature_members(edges, seen, starts)
        with self._history.resolution(f"{self._name}/features", members) as name:
            block, sql = self._collect(columns, replace(spine, horizon_days=None), name)
        if spine.horizon_days is None:
            return block, sql
        with self._labelled(edges, seen) as name:
            labels, label_sql = self._collect((), spine, name)
        spend = spend_of(block, labels, len(spine.instants))
        return replace(block, spend_micros=spend), f"{sql};\n\n{label_sql}"

    def _waits(
        self, block: Block, edges: Edges, seen: FirstSeen
    ) -> tuple[npt.NDArray[np.float32], str]:
        """How long each row waits for the event asked for."""
        spine, by_person = self._spine, len(edges.from_keys) > 0
        source = self._history.source(by_person=by_person)
        statements = [
            compile_waits(self._question.awaited, run, source, has_ranges=by_person)
            for run in spine.runs(_INSTANTS_A_STATEMENT)
        ]
        with self._labelled(edges, seen) if by_person else nullcontext("") as name:
            batches = [
                batch
                for sql in statements
                for batch in self._history.read(sql, spine.end, self._known_at, name)
            ]
        return waits_of(block, batches, len(spine.instants)), ";\n\n".join(statements)

    def _labelled(self, edges: Edges, seen: FirstSeen) -> AbstractContextManager[str]:
        """Who is who while labels are read."""
        spine = self._spine
        assert spine.horizon_days is not None
        zone = ZoneInfo(spine.zone)
        starts = [instant.time_ms for instant in spine.instants]
        ends = [
            milliseconds(day_start(each.day + spine.horizon_days, zone)) for each in spine.instants
        ]
        members = label_members(edges, seen, starts, ends)
        return self._history.resolution(f"{self._name}/labels", members)
