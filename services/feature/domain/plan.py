"""Which instants a training dataset has, and which of them train and judge."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from services.feature.domain.question import Question
from shared.errors import FailedPreconditionError, InvalidArgumentError
from shared.features.calendar import Instant, day_start, local_day

EVALUATION = "evaluation"
FINAL = "final"


@dataclass(frozen=True)
class FoldPlan:
    """Indices of the instants that train and of those that judge."""

    name: str
    train: tuple[int, ...]
    test: tuple[int, ...]


def instant_at(time: datetime, zone: ZoneInfo) -> Instant:
    """Return the instant at a time, which must be the start of a day.

    Raises:
        InvalidArgumentError: It is within a day, where day windows would have no clear edge.
    """
    day = local_day(time, zone)
    start = day_start(day, zone)
    if start != time:
        raise InvalidArgumentError(
            f"as_of_time {time.isoformat()} lies within a day of {zone.key}; "
            f"use {start.isoformat()} or {day_start(day + 1, zone).isoformat()}",
            reason="AS_OF_WITHIN_A_DAY",
            as_of_time=time.isoformat(),
            time_zone=zone.key,
        )
    return Instant(day, start)


def training_instants(
    question: Question,
    end: Instant,
    first_eligible_day: int,
    zone: ZoneInfo,
    known_at: datetime,
) -> tuple[Instant, ...]:
    """Return the instants whose label windows end at `end` or before, ascending.

    Args:
        question: Gives the steps.
        end: End of the last label window.
        first_eligible_day: First day on which a user did what makes eligible.
        zone: The workspace's.
        known_at: Instants whose labels were not known yet are left out.
    """
    reach = question.horizon_days + question.gap_days
    days = range(end.day - reach, first_eligible_day, -question.every_days)
    return tuple(
        Instant(day, day_start(day, zone))
        for day in reversed(days)
        if day_start(day + reach, zone) <= known_at
    )


def fold_plans(question: Question, instants: Sequence[Instant]) -> tuple[FoldPlan, ...]:
    """Return the purged folds: the latest judged instant first, then earlier ones, `final` last.

    In no fold does the label window of a training instant reach past the judged instant.
    """
    plans: list[FoldPlan] = []
    reach = question.horizon_days + question.gap_days
    for test in reversed(range(len(instants))):
        train = tuple(
            index for index in range(test) if instants[index].day + reach <= instants[test].day
        )
        if not train or len(plans) == question.folds:
            break
        name = EVALUATION if not plans else f"{EVALUATION}_{len(plans) + 1}"
        plans.append(FoldPlan(name, train, (test,)))
    plans.append(FoldPlan(FINAL, tuple(range(len(instants))), ()))
    return tuple(plans)


def require_history(question: Question, instants: Sequence[Instant], history_days: int) -> None:
    """Refuse a history that carries no training instant at all.

    Raises:
        FailedPreconditionError: The message says how much there is and how much is needed.
    """
    if not instants:
        least = question.horizon_days + question.gap_days + 1
        raise FailedPreconditionError(
            f"too little data: history_days is {history_days}, at least {least} needed "
            f"(a horizon of {question.horizon_days} days after the first order)",
            reason="TOO_LITTLE_DATA",
            rule="history_days",
            value=history_days,
            threshold=least,
        )
