"""Builds datasets: instants, persons, rows, rules, folds, files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from services.feature.domain.persons import Edges, FirstSeen, feature_members, label_members
from services.feature.domain.plan import (
    FoldPlan,
    fold_plans,
    instant_at,
    require_history,
    training_instants,
)
from services.feature.domain.question import Question
from services.feature.domain.rules import Rule, Survey, require, rules
from services.feature.domain.segments import segment_limits_micros
from services.feature.usecases.ports import Extent, History, Watched
from services.feature.usecases.rows import Block, collect, dataset_rows, spend_of
from shared.dataset import (
    DatasetArrays,
    DatasetWriter,
    FeatureColumn,
    FoldSpec,
    Manifest,
    Written,
)
from shared.errors import FailedPreconditionError
from shared.features import FEATURES, Aggregate, Feature, feature_set_version
from shared.features.calendar import Instant, Spine, day_start, local_day
from shared.features.compiler import compile_sql

TRAINING = "training"
SCORING = "scoring"

_ROWS_A_SHARD = 262_144
_STAGES = 5
# The text of a statement grows with its instants, and the engine reads 256 KiB at most.
_INSTANTS_A_STATEMENT = 64


@dataclass(frozen=True)
class Order:
    """A dataset to build.

    Attributes:
        name: datasets/{dataset}
        purpose: "training" or "scoring".
        as_of: The instant scored, or the end of the last label window.
        known_at: What became known later is left out.
    """

    name: str
    purpose: str
    question: Question
    as_of: datetime
    known_at: datetime


@dataclass(frozen=True)
class Plan:
    """What is decided before any row is read."""

    spine: Spine
    folds: tuple[FoldPlan, ...]
    extent: Extent
    observed_days: int


@dataclass(frozen=True)
class Made:
    """Rows of a dataset and the statements that made them."""

    arrays: DatasetArrays
    sql: str


class DatasetBuilder:
    """Answers what a dataset would hold, and builds it.

    Args:
        history: The events as known.
        time_zone: IANA name of the workspace's zone.
        currency: The workspace's.
    """

    def __init__(self, history: History, time_zone: str, currency: str) -> None:
        self._history, self._currency = history, currency
        self._zone = ZoneInfo(time_zone)

    def require_day_start(self, as_of: datetime) -> None:
        """Refuse an as_of within a day.

        Raises:
            InvalidArgumentError: The message names the starts of days around it.
        """
        instant_at(as_of, self._zone)

    def default_as_of(self) -> datetime:
        """Return the first midnight after the last event.

        Raises:
            FailedPreconditionError: There are no events.
        """
        last = self._history.last_event_time()
        if last is None:
            raise _no_events()
        return day_start(local_day(last, self._zone) + 1, self._zone)

    def plan(self, order: Order) -> Plan:
        """Decide instants and folds.

        Raises:
            InvalidArgumentError: as_of lies within a day.
            FailedPreconditionError: There is no history, or too little of it.
        """
        end = instant_at(order.as_of, self._zone)
        extent = self._history.extent(order.as_of, order.known_at)
        if extent.first_event is None or extent.last_event is None:
            raise _no_events()
        if order.purpose == SCORING:
            return Plan(Spine((end,), self._zone.key), (), extent, 0)
        question = order.question
        is_ordering = any(each.feature == "orders_ever" for each in question.eligible.conditions)
        start = (extent.first_order or order.as_of) if is_ordering else extent.first_event
        first_eligible = local_day(start, self._zone)
        instants = training_instants(question, end, first_eligible, self._zone)
        require_history(question, instants, end.day - first_eligible)
        spine = Spine(instants, self._zone.key, question.horizon_days)
        last_day = local_day(extent.last_event, self._zone)
        observed = min(question.horizon_days, last_day + 1 - instants[-1].day)
        return Plan(spine, fold_plans(question, instants), extent, observed)

    def explain(self, order: Order) -> tuple[Plan, tuple[Rule, ...]]:
        """Return the plan and how the data stands against the rules; builds nothing."""
        plan = self.plan(order)
        needed = {condition.feature for condition in order.question.eligible.conditions}
        narrow = replace(order.question, features=tuple(FEATURES[name] for name in sorted(needed)))
        made = self._rows(replace(order, question=narrow), plan)
        survey = _survey(made.arrays, plan.spine.instants)
        return plan, rules(order.question, survey, plan.folds, plan.observed_days)

    def build(self, order: Order, folder: Path, job: Watched) -> Manifest:
        """Build the dataset in a folder, whole or not at all."""
        job.progress(0, _STAGES, "stages", "looking at the history")
        plan = self.plan(order)
        checks = self._history.uniqueness(plan.spine.end, order.known_at)
        _require_unique(checks)
        job.raise_if_cancelled()

        job.progress(1, _STAGES, "stages", "computing features")
        made = self._rows(order, plan)
        job.raise_if_cancelled()

        job.progress(3, _STAGES, "stages", "checking that there is enough")
        arrays, plan = _without_empty_instants(made.arrays, plan, order.question)
        if order.purpose == TRAINING:
            survey = _survey(arrays, plan.spine.instants)
            require(rules(order.question, survey, plan.folds, plan.observed_days))
        elif len(arrays) == 0:
            raise _no_events()
        folds = tuple(_fold_spec(each, plan.spine.instants, arrays) for each in plan.folds)
        job.raise_if_cancelled()

        job.progress(4, _STAGES, "stages", "writing")
        names = tuple(feature.name for feature in order.question.features)

        def manifest(written: Written) -> Manifest:
            return Manifest(
                name=order.name,
                purpose=order.purpose,
                predictions=order.question.names,
                features=tuple(_column(feature) for feature in order.question.features),
                feature_set_version=feature_set_version(order.question.features),
                as_ofs=tuple(instant.time for instant in plan.spine.instants),
                known_at=order.known_at,
                horizon_days=order.question.horizon_days,
                time_zone=self._zone.key,
                currency=self._currency,
                eligible_rule=str(order.question.eligible),
                folds=folds,
                row_count=written.row_count,
                user_count=written.user_count,
                content_hash=written.content_hash,
                shards=written.shards,
                statistics=written.statistics,
                sql=made.sql,
                checks=checks,
            )

        with DatasetWriter(folder, names) as writer:
            for shard in _shards(arrays):
                writer.append(shard)
                job.raise_if_cancelled()
            finished = writer.finish(manifest)
        job.progress(_STAGES, _STAGES, "stages", f"{finished.row_count:,} rows")
        return finished

    def _rows(self, order: Order, plan: Plan) -> Made:
        """Compute the rows; where keys are one person, features and labels know it apart."""
        question, spine = order.question, plan.spine
        hidden = [
            FEATURES[condition.feature]
            for condition in question.eligible.conditions
            if FEATURES[condition.feature] not in question.features
        ]
        columns = (*question.features, *dict.fromkeys(hidden))
        edges, seen = self._history.edges(spine.end, order.known_at)
        if len(edges.from_keys) == 0:
            block, sql = self._collect(columns, spine, order)
        else:
            block, sql = self._collect_persons(columns, spine, order, edges, seen)
        names = [feature.name for feature in columns]
        arrays = dataset_rows(block, spine.instants, question.eligible, names)
        if hidden:
            visible = np.ascontiguousarray(arrays.features[:, : len(question.features)])
            arrays = replace(arrays, features=visible)
        return Made(arrays, sql)

    def _collect(
        self, columns: Sequence[Feature], spine: Spine, order: Order, resolution: str = ""
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
            for batch in self._history.read(sql, spine.end, order.known_at, resolution)
        )
        names = [feature.name for feature in columns]
        block = collect(batches, names, has_label=spine.horizon_days is not None)
        return block, ";\n\n".join(statements)

    def _collect_persons(
        self,
        columns: Sequence[Feature],
        spine: Spine,
        order: Order,
        edges: Edges,
        seen: FirstSeen,
    ) -> tuple[Block, str]:
        starts = [instant.time_ms for instant in spine.instants]
        members = feature_members(edges, seen, starts)
        with self._history.resolution(f"{order.name}/features", members) as name:
            block, sql = self._collect(columns, replace(spine, horizon_days=None), order, name)
        if spine.horizon_days is None:
            return block, sql
        ends = [
            Instant(each.day, day_start(each.day + spine.horizon_days, self._zone)).time_ms
            for each in spine.instants
        ]
        members = label_members(edges, seen, starts, ends)
        with self._history.resolution(f"{order.name}/labels", members) as name:
            labels, label_sql = self._collect((), spine, order, name)
        spend = spend_of(block, labels, len(spine.instants))
        return replace(block, spend_micros=spend), f"{sql};\n\n{label_sql}"


def _no_events() -> FailedPreconditionError:
    return FailedPreconditionError(
        "there is no event of a known customer before as_of_time; import events first, or choose "
        "a later as_of_time",
        reason="NO_EVENTS",
    )


def _require_unique(checks: Mapping[str, int]) -> None:
    if checks["count"] != checks["unique"]:
        raise FailedPreconditionError(
            f"{checks['count'] - checks['unique']} events are stored twice, so sums would be "
            "wrong; run `oriel doctor`",
            reason="EVENTS_NOT_UNIQUE",
            count=checks["count"],
            unique=checks["unique"],
        )


def _survey(arrays: DatasetArrays, instants: Sequence[Instant]) -> Survey:
    times = np.array([instant.time_ms for instant in instants], "datetime64[ms]")
    indices = np.searchsorted(times, arrays.as_ofs[arrays.eligible])
    active: Any = arrays.active if arrays.active is not None else np.zeros(len(arrays), np.uint8)
    size = len(instants)
    return Survey(
        tuple(np.bincount(indices, minlength=size).tolist()),
        tuple(np.bincount(indices[active[arrays.eligible] > 0], minlength=size).tolist()),
    )


def _without_empty_instants(
    arrays: DatasetArrays, plan: Plan, question: Question
) -> tuple[DatasetArrays, Plan]:
    """Leave out the earliest training instants at which nobody was eligible yet."""
    if not plan.folds:
        return arrays, plan
    eligible = np.array(_survey(arrays, plan.spine.instants).eligible)
    if not eligible.any() or eligible[0] > 0:
        return arrays, plan
    kept = plan.spine.instants[int(np.argmax(eligible > 0)) :]
    first = np.datetime64(kept[0].time_ms, "ms")
    return (
        arrays.rows(arrays.as_ofs >= first),
        replace(plan, spine=replace(plan.spine, instants=kept), folds=fold_plans(question, kept)),
    )


def _fold_spec(plan: FoldPlan, instants: Sequence[Instant], arrays: DatasetArrays) -> FoldSpec:
    last = np.datetime64(instants[plan.train[-1]].time_ms, "ms")
    assert arrays.spend_micros is not None
    spend = arrays.spend_micros[arrays.eligible & (arrays.as_ofs == last)]
    return FoldSpec(
        plan.name,
        tuple(instants[index].time for index in plan.train),
        tuple(instants[index].time for index in plan.test),
        segment_limits_micros(spend),
    )


def _column(feature: Feature) -> FeatureColumn:
    expression = feature.expression
    kind = (
        expression.function.value
        if isinstance(expression, Aggregate)
        else type(expression).__name__.lower()
    )
    return FeatureColumn(feature.name, feature.label, kind, feature.unit)


def _shards(arrays: DatasetArrays) -> list[DatasetArrays]:
    """Cut rows between users; keys are hashes, so a run of keys is a random share of users."""
    cuts = [0]
    while cuts[-1] < len(arrays):
        end = min(cuts[-1] + _ROWS_A_SHARD, len(arrays))
        if end < len(arrays):
            end = int(np.searchsorted(arrays.user_keys, arrays.user_keys[end], "left"))
            if end <= cuts[-1]:
                end = int(np.searchsorted(arrays.user_keys, arrays.user_keys[cuts[-1]], "right"))
        cuts.append(end)
    if len(cuts) == 1:
        return [arrays]
    return [arrays.rows(slice(low, high)) for low, high in pairwise(cuts)]
