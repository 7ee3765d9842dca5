"""How far a fit has come, and where that is kept."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Protocol

from services.training.engine.fitting import EpochReport, FitConfig, FitResult
from services.training.engine.layers import Weights
from services.training.engine.step import TrainState
from shared.errors import InvalidArgumentError


@dataclass(frozen=True)
class EpochOutcome:
    """What an epoch came to; `validation_loss` is None where there are no rows to validate on."""

    train_loss: float
    validation_loss: float | None
    steps_per_second: float
    samples_per_second: float


@dataclass(frozen=True)
class Standing:
    """All that is needed to go on from here to the same end.

    Args:
        epoch: Epoch under way.
        losses: Loss of each step done in it.
        best_loss: Validation loss of `best`; infinite before the first epoch has ended.
    """

    state: TrainState
    best: Weights
    epoch: int = 0
    losses: tuple[float, ...] = ()
    best_epoch: int = 0
    best_loss: float = math.inf
    history: tuple[EpochReport, ...] = ()

    def has_ended(self, config: FitConfig) -> bool:
        """Whether the epochs are over, or the validation loss has stopped falling."""
        has_converged = config.patience and self.epoch - self.best_epoch > config.patience
        return self.epoch >= config.epochs or bool(has_converged)

    def after_epoch(
        self,
        state: TrainState,
        outcome: EpochOutcome,
        min_improvement: float,
        weights: Callable[[], Weights],
    ) -> "Standing":
        """Where the fit stands after the epoch under way.

        Args:
            state: After its last step.
            outcome: What it came to.
            min_improvement: Smallest fall of the validation loss that counts as better.
            weights: Copies the state's weights; called if they are the best.

        Raises:
            InvalidArgumentError: The loss is no longer finite.
        """
        has_judge = outcome.validation_loss is not None
        loss = outcome.train_loss if outcome.validation_loss is None else outcome.validation_loss
        _require_finite(loss, self.epoch)
        is_best = not has_judge or self.best_loss - loss > min_improvement
        report = EpochReport(
            self.epoch,
            outcome.train_loss,
            loss,
            is_best,
            outcome.steps_per_second,
            outcome.samples_per_second,
        )
        after = replace(
            self, state=state, epoch=self.epoch + 1, losses=(), history=(*self.history, report)
        )
        if not is_best:
            return after
        return replace(after, best=weights(), best_loss=loss, best_epoch=self.epoch)

    def result(self) -> FitResult:
        """What the fit has given so far."""
        speed = median(report.steps_per_second for report in self.history)
        return FitResult(self.best, self.history, self.best_epoch, float(speed))


class StandingStore(Protocol):
    """Keeps standings of one fit; a process killed at any moment leaves a whole one."""

    def is_due(self) -> bool:
        """Whether it is time to save again; asked after every step."""
        ...

    def save(self, standing: Standing) -> None:
        """Keep it; may go on in the background."""
        ...

    def latest(self, fresh: Standing) -> Standing | None:
        """The last one kept, in the structure of `fresh`; None when there is none."""
        ...

    def wait(self) -> None:
        """Return when everything given to `save` is kept."""
        ...


def _require_finite(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise InvalidArgumentError(
            f"the loss became {loss} in epoch {epoch}; lower optimizer.learning_rate "
            "or check the features for extreme values",
            reason="LOSS_NOT_FINITE",
            epoch=epoch,
            loss=loss,
        )
