"""Builds datasets: instants, persons, rows, rules, folds, files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from services.feature.domain.plan import (
    FoldPlan,
    fold_plans,
    instant_at,
    require_history,
    training_instants,
)
from services.feature.domain.question import Question
from services.feature.domain.rules import Rule, Survey, require, rules
from services.feature.usecases.compute import Computation, Made
from services.feature.usecases.layout import column_of, fold_spec, shards_of, survey_of
from services.feature.usecases.ports import Extent, History, Watched
from shared.dataset import DatasetArrays, DatasetWriter, Manifest, Written
from shared.errors import FailedPreconditionError
from shared.features import FEATURES, feature_set_version
from shared.features.calendar import Spine, day_start, local_day

TRAINING = "training"
SCORING = "scoring"

_STAGES = 5


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
        instants = training_instants(question, end, first_eligible, self._zone, order.known_at)
        require_history(question, instants, end.day - first_eligible)
        spine = Spine(instants, self._zone.key, question.horizon_days)
        last_day = local_day(extent.last_event, self._zone)
        observed = min(question.horizon_days, last_day + 1 - instants[-1].day)
        return Plan(spine, fold_plans(question, instants), extent, observed)

    def explain(self, order: Order) -> tuple[Plan, Survey, tuple[Rule, ...]]:
        """Return the plan, its rows and how they stand against the rules; builds nothing."""
        plan = self.plan(order)
        needed = {condition.feature for condition in order.question.eligible.conditions}
        narrow = replace(order.question, features=tuple(FEATURES[name] for name in sorted(needed)))
        made = self._rows(replace(order, question=narrow), plan)
        survey = survey_of(made.arrays, plan.spine.instants)
        return plan, survey, rules(order.question, survey, plan.folds, plan.observed_days)

    def _rows(self, order: Order, plan: Plan) -> Made:
        return Computation(
            self._history, order.name, order.question, plan.spine, order.known_at
        ).run()

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
            survey = survey_of(arrays, plan.spine.instants)
            require(rules(order.question, survey, plan.folds, plan.observed_days))
        elif len(arrays) == 0:
            raise _no_events()
        folds = tuple(fold_spec(each, plan.spine.instants, arrays) for each in plan.folds)
        job.raise_if_cancelled()

        job.progress(4, _STAGES, "stages", "writing")
        names = tuple(feature.name for feature in order.question.features)

        def manifest(written: Written) -> Manifest:
            return Manifest(
                name=order.name,
                purpose=order.purpose,
                predictions=order.question.names,
                features=tuple(column_of(feature) for feature in order.question.features),
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
                awaited=order.question.awaited,
            )

        with DatasetWriter(folder, names) as writer:
            for shard in shards_of(arrays):
                writer.append(shard)
                job.raise_if_cancelled()
            finished = writer.finish(manifest)
        job.progress(_STAGES, _STAGES, "stages", f"{finished.row_count:,} rows")
        return finished


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


def _without_empty_instants(
    arrays: DatasetArrays, plan: Plan, question: Question
) -> tuple[DatasetArrays, Plan]:
    """Leave out the earliest training instants at which nobody was eligible yet."""
    if not plan.folds:
        return arrays, plan
    eligible = np.array(survey_of(arrays, plan.spine.instants).eligible)
    if not eligible.any() or eligible[0] > 0:
        return arrays, plan
    kept = plan.spine.instants[int(np.argmax(eligible > 0)) :]
    first = np.datetime64(kept[0].time_ms, "ms")
    return (
        arrays.rows(arrays.as_ofs >= first),
        replace(plan, spine=replace(plan.spine, instants=kept), folds=fold_plans(question, kept)),
    )
