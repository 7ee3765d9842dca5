"""The least data that a training dataset must hold."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.feature.domain.plan import EVALUATION, FoldPlan
from services.feature.domain.question import Question
from shared.errors import FailedPreconditionError

LEAST_ELIGIBLE = 30
LEAST_OF_EACH_KIND = 5
LEAST_WINDOW_SHARE = 0.75


@dataclass(frozen=True)
class Survey:
    """Counts of eligible users at each instant, and of those who bought in the horizon."""

    eligible: tuple[int, ...]
    active: tuple[int, ...]


@dataclass(frozen=True)
class Rule:
    """One number that must reach a threshold."""

    name: str
    value: float
    threshold: float

    @property
    def is_met(self) -> bool:
        """Whether it does."""
        return self.value >= self.threshold


def rules(
    question: Question,
    survey: Survey,
    plans: Sequence[FoldPlan],
    observed_days: int,
) -> tuple[Rule, ...]:
    """Measure a training dataset against the least data needed.

    Args:
        question: Gives the wanted folds.
        survey: Counts at each instant.
        plans: The folds.
        observed_days: Days of the last label window up to the last event.
    """
    judged = [plan for plan in plans if plan.name.startswith(EVALUATION)]
    wanted = 1 if isinstance(question.folds, str) else question.folds
    train = plans[-1].train if not judged else judged[0].train
    test = () if not judged else judged[0].test

    def total(counts: Sequence[int], chosen: Sequence[int]) -> int:
        return sum(counts[index] for index in chosen)

    found = [
        Rule("evaluation_folds", len(judged), wanted),
        Rule(
            "observed_days_of_last_label_window",
            observed_days,
            round(LEAST_WINDOW_SHARE * question.horizon_days),
        ),
    ]
    for name, chosen in (("training", train), ("evaluation", test)):
        eligible, active = total(survey.eligible, chosen), total(survey.active, chosen)
        found += [
            Rule(f"eligible_rows_of_{name}", eligible, LEAST_ELIGIBLE),
            Rule(f"active_rows_of_{name}", active, LEAST_OF_EACH_KIND),
            Rule(f"inactive_rows_of_{name}", eligible - active, LEAST_OF_EACH_KIND),
        ]
    return tuple(found)


def require(
    found: Sequence[Rule], mend: str = "Bring a longer history, or shorten the horizon"
) -> None:
    """Refuse when a rule is not met.

    Args:
        found: The rules as measured.
        mend: What a person can do about it.

    Raises:
        FailedPreconditionError: Lists each broken rule with its value and its threshold.
    """
    broken = [rule for rule in found if not rule.is_met]
    if broken:
        listed = "; ".join(
            f"{rule.name} is {rule.value:g}, at least {rule.threshold:g} needed" for rule in broken
        )
        raise FailedPreconditionError(
            f"too little data: {listed}. {mend}",
            reason="TOO_LITTLE_DATA",
            **{rule.name: f"{rule.value:g} of {rule.threshold:g}" for rule in broken},
        )
