"""How far a fit has come, and where that is kept."""

import math
from dataclasses import dataclass
from typing import Protocol

from services.training.engine.fitting import EpochReport
from services.training.engine.layers import Weights
from services.training.engine.step import TrainState


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
