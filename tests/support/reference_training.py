"""A parameter-server job carried out on one device, which every mode is compared with."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine.layerwise import LayerPrograms
from services.training.engine.local import numbers, to_device, widen_batch
from services.training.engine.ps.job import Sharing
from services.training.engine.ps.rules import Rules
from services.training.engine.ps.states import Kept, divided, joined
from services.training.engine.rows import plan_epoch, take
from services.training.engine.runtimes import prepare_step
from services.training.engine.step import ordered_sum


def reference(job, epochs=None):
    """The state after so many epochs (all when None), and the loss of each step."""
    with numbers(job.config):
        step = _Step(job)
        state, losses = job.start().state, []
        for epoch in range(job.config.epochs if epochs is None else epochs):
            for plan in plan_epoch(job.rows, job.batch_size, job.seed, epoch):
                batch = to_device(widen_batch(take(job.rows, plan, job.batch_size), job.config))
                state, value = step(state, batch)
                losses.append(float(value))
        return jax.tree.map(np.asarray, state), losses


class _Step:
    """The micro-batches in their order, then the update of every vector as a whole."""

    def __init__(self, job):
        self._job = replace(job, sharing=Sharing(owners=1))
        self._programs = LayerPrograms(job.layers, job.objective, job.config.precision, job.stages)
        self._rules = Rules(job)
        self._prepare = jax.jit(prepare_step, static_argnums=(3,))

    def __call__(self, state, batch):
        job = self._job
        ranges = [kept for _, kept in divided(job, state)]
        weights = {job.vectors[kept.vector].name: jnp.asarray(kept.values) for kept in ranges}
        parts, scale, keys = self._prepare(
            batch, jnp.uint32(job.seed), state.step, job.config.micro_batches
        )
        losses, found = [], []
        for part, key in zip(parts, keys, strict=True):
            passed = self._programs.forward(weights, part, scale, key)
            given = dict(passed.observed)
            self._programs.backward(
                passed, lambda stage, array, to=given: to.update({job.stages[stage].name: array})
            )
            losses.append(passed.loss)
            found.append(given)
        totals = ordered_sum(found)
        after = [self._updated(kept, totals[job.vectors[kept.vector].name]) for kept in ranges]
        return joined(job, state, after, int(state.step) + 1), ordered_sum(losses)

    def _updated(self, kept, total):
        structure = jax.tree.structure(self._rules.template(kept.vector, len(kept.values)))
        optimizer = jax.tree.unflatten(structure, kept.leaves)
        values, optimizer = self._rules.apply(
            kept.vector, 0, jnp.asarray(kept.values), optimizer, np.asarray(total)
        )
        leaves = tuple(np.asarray(leaf) for leaf in jax.tree.leaves(optimizer))
        return Kept(kept.vector, 0, kept.version + 1, np.asarray(values), leaves)
