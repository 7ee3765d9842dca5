"""What a coordinator knows of the steps: losses, times, and the standing to be kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median

import numpy as np

from services.training.engine.ps.job import Job
from services.training.engine.standing import EpochOutcome, Standing
from services.training.engine.step import TrainState


@dataclass
class Progress:
    """Mean losses by step, and when each step was settled."""

    job: Job
    losses: dict[int, float] = field(default_factory=dict)
    times: dict[int, float] = field(default_factory=dict)

    def heard(self, losses: Mapping[str, float]) -> None:
        """Losses of steps, with the steps as text."""
        self.losses.update({int(step): loss for step, loss in losses.items()})

    def step_seconds(self) -> tuple[float, ...]:
        """Time from one settled step to the next."""
        return tuple(
            (self.times[later] - self.times[earlier]) / (later - earlier)
            for earlier, later in pairwise(sorted(self.times))
        )

    def advanced(self, standing: Standing, state: TrainState) -> Standing:
        """The standing with that state, as one device without validation rows would keep it."""
        per_epoch = self.job.steps_per_epoch
        for epoch in range(standing.epoch, int(state.step) // per_epoch):
            known = standing.losses
            steps = range(epoch * per_epoch + len(known), (epoch + 1) * per_epoch)
            outcome = self._outcome([*known, *(self.losses[step] for step in steps)])
            standing = standing.after_epoch(
                state, outcome, self.job.config.min_improvement, lambda: state.weights
            )
        first = standing.epoch * per_epoch + len(standing.losses)
        newer = tuple(self.losses[step] for step in range(first, int(state.step)))
        return replace(standing, state=state, losses=standing.losses + newer)

    def _outcome(self, losses: Sequence[float]) -> EpochOutcome:
        speed = 1.0 / median(self.step_seconds() or (1.0,))
        return EpochOutcome(float(np.mean(losses)), None, speed, speed * self.job.batch_size)
