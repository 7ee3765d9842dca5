"""Who trains in a group, and what their training gives."""

from dataclasses import dataclass

from services.training.engine.ps.schedule import Schedule
from services.training.engine.standing import Standing
from services.training.engine.step import TrainState


@dataclass(frozen=True)
class Crew:
    """The nodes of a group.

    Args:
        workers: To wait for before the first task is handed out.
        servers: To wait for before the parameters are divided.
        patience_seconds: A node that says nothing for so long is lost.
    """

    workers: int
    servers: int
    patience_seconds: float = 15.0


@dataclass(frozen=True)
class Outcome:
    """What a group's training gave.

    Args:
        losses: Mean loss of each step since the start, or since the state that was resumed from.
        step_seconds: Time from one settled step to the next.
        schedule: The fastest one, or the one that was ordered.
    """

    standing: Standing
    losses: tuple[float, ...]
    step_seconds: tuple[float, ...]
    schedule: Schedule

    @property
    def state(self) -> TrainState:
        """After the last step."""
        return self.standing.state
