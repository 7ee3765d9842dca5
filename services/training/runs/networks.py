"""The networks of an ensemble, each fitted without one group of rows."""

from collections.abc import Callable
from dataclasses import dataclass

from services.training.engine import Arrays, EpochReport, FitResult, Fitter, Pace, Weights
from services.training.engine.standing import StandingStore
from services.training.runs.kept import Fits


@dataclass(frozen=True)
class Listener:
    """Who hears how members go, from several threads.

    Attributes:
        epoch: Hears each epoch of each member.
        pace: Hears how fast members go.
        fitted: Hears of each member that is fitted.
    """

    epoch: Callable[[int, EpochReport], None]
    pace: Callable[[Pace], None]
    fitted: Callable[[int], None] = lambda _member: None


@dataclass(frozen=True)
class MemberRows:
    """What one member is fitted to.

    Attributes:
        train: Rows to learn from.
        valid: Rows to stop on.
        seed: Of first weights, the order of rows and dropout.
        learned: Gives the vectors to start from instead of drawn ones.
    """

    train: Arrays
    valid: Arrays
    seed: int
    learned: Callable[[], Weights] = dict


def fit_networks(
    fitter: Fitter,
    rows_of: Callable[[int], MemberRows],
    count: int,
    *,
    name: str,
    fits: Fits,
    listener: Listener,
) -> list[FitResult]:
    """Fit so many members, several at a time.

    Args:
        fitter: Of every member's layers.
        rows_of: What a member is fitted to.
        count: Members.
        name: First part of the names of their fits.
        fits: Carries them out.
        listener: Hears how they go.
    """

    def fit_one(number: int) -> FitResult:
        rows = rows_of(number)

        def hear(report: EpochReport) -> None:
            listener.epoch(number, report)

        def work(checkpoints: StandingStore | None) -> FitResult:
            return fitter.fit(
                rows.train,
                rows.valid,
                seed=rows.seed,
                learned=rows.learned(),
                on_epoch=hear,
                on_pace=listener.pace,
                checkpoints=checkpoints,
            )

        result = fits.fit(f"{name}-{number}", work, hear)
        listener.fitted(number)
        return result

    return fits.each(fit_one, count)
