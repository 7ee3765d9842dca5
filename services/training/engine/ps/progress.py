"""What a coordinator knows of the steps: losses, times, and the standing to be kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from statistics import median

import numpy as np

from services.training.engine.local import numbers, to_device, widen_batch
from services.training.engine.ps.job import Job
from services.training.engine.rows import plan_in_order, take
from services.training.engine.runtimes import Compiled
from services.training.engine.standing import EpochOutcome, Standing
from services.training.engine.step import TrainState, evaluation, mean_loss


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
        """The standing with that state, as one device would keep it.

        Where there are rows to stop on, an epoch that has ended since is judged by the state, so it
        has to be the state at its end.
        """
        per_epoch = self.job.steps_per_epoch
        for epoch in range(standing.epoch, int(state.step) // per_epoch):
            known = standing.losses
            steps = range(epoch * per_epoch + len(known), (epoch + 1) * per_epoch)
            is_now = int(state.step) == (epoch + 1) * per_epoch
            losses = [*known, *(self.losses[step] for step in steps)]
            outcome = self._outcome(losses, state if is_now else None)
            standing = standing.after_epoch(
                state, outcome, self.job.config.min_improvement, lambda: state.weights
            )
        first = standing.epoch * per_epoch + len(standing.losses)
        newer = tuple(self.losses[step] for step in range(first, int(state.step)))
        return replace(standing, state=state, losses=standing.losses + newer)

    def _outcome(self, losses: Sequence[float], state: TrainState | None) -> EpochOutcome:
        speed = 1.0 / median(self.step_seconds() or (1.0,))
        validation = self._validation_loss(state) if state is not None else None
        return EpochOutcome(float(np.mean(losses)), validation, speed, speed * self.job.batch_size)

    @cached_property
    def _evaluate(self) -> Compiled:
        return Compiled(evaluation(self.job.layers, self.job.objective, self.job.config))

    def _validation_loss(self, state: TrainState) -> float | None:
        job, valid = self.job, self.job.valid
        if valid is None or not len(valid):
            return None
        batches = (
            to_device(widen_batch(take(valid, plan, job.batch_size), job.config))
            for plan in plan_in_order(valid, job.batch_size)
        )
        with numbers(job.config):
            return mean_loss(self._evaluate, state.weights, batches)
