"""The micro-batches of a job: the same rows, keys and scale whoever computes them."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine.local import numbers, widen_batch
from services.training.engine.ps.job import Job
from services.training.engine.rows import Batch, NumpyArray, Plan, plan_epoch, take
from services.training.engine.step import step_key

Array = jax.Array


@dataclass(frozen=True)
class Part:
    """One micro-batch of a step, ready to be computed.

    Args:
        scale: What makes the sums of all micro-batches of the step a mean.
    """

    batch: Batch
    scale: Array
    key: Array


class Feed:
    """Makes micro-batches from rows in memory."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._epoch = -1
        self._plans: list[Plan] = []

    def part(self, step: int, number: int) -> Part:
        """Micro-batch `number` of a step."""
        job = self._job
        plan = self._plan(step)
        count = job.batch_size // job.config.micro_batches
        mine = slice(number * count, (number + 1) * count)
        weights = _row_weights(job, plan)
        taken = take(job.rows, plan, job.batch_size, mine)
        with numbers(job.config):
            wide = widen_batch(Batch(taken.inputs, taken.targets, weights), job.config)
            scale, key = _scale_and_key(
                wide.weights, np.uint32(job.seed), np.int32(step), np.int32(number)
            )
            # A program takes arrays of the host faster than they can be put on the device.
            return Part(Batch(wide.inputs, wide.targets, wide.weights[mine]), scale, key)

    def _plan(self, step: int) -> Plan:
        epoch, place = divmod(step, self._job.steps_per_epoch)
        if epoch != self._epoch:
            job = self._job
            self._plans = plan_epoch(job.rows, job.batch_size, job.seed, epoch)
            self._epoch = epoch
        return self._plans[place]


def _row_weights(job: Job, plan: Plan) -> NumpyArray:
    """Weights of all rows of the step, 0 for those that fill it up."""
    weights = np.zeros(job.batch_size, np.float32)
    given = job.rows.weights
    weights[: len(plan.rows)] = 1.0 if given is None else given[plan.rows]
    return weights


@jax.jit
def _scale_and_key(weights: Array, seed: Array, step: Array, number: Array) -> tuple[Array, Array]:
    # The same expressions as `prepare_step` of one device.
    return 1.0 / jnp.maximum(weights.sum(), 1e-12), step_key(seed, step, number)
