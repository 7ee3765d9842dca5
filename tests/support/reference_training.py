"""A parameter-server job carried out on one device, which every mode is compared with."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine.layerwise import LayerPrograms
from services.training.engine.local import numbers, to_device, widen_batch
from services.training.engine.optimizers import optimizers
from services.training.engine.rows import plan_epoch, take
from services.training.engine.runtimes import prepare_step
from services.training.engine.step import TrainState, next_states, ordered_sum, update_layer


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
    """The micro-batches in their order stage by stage, then every layer's update by itself."""

    def __init__(self, job):
        self._job = job
        self._programs = LayerPrograms(job.layers, job.objective, job.config.precision, job.stages)
        transforms = optimizers(job.config.optimizer, job.layers, job.total_steps)
        self._update = {
            name: jax.jit(partial(update_layer, transform))
            for name, transform in transforms.items()
        }
        self._next_states = jax.jit(partial(next_states, job.layers))
        self._prepare = jax.jit(prepare_step, static_argnums=(3,))

    def __call__(self, state, batch):
        job = self._job
        given = dict(state.weights)
        for stage in job.stages:
            members = [state.weights[job.layers[number].name] for number in stage.layers]
            given[stage.name] = jnp.concatenate(members)
        parts, scale, keys = self._prepare(
            batch, jnp.uint32(job.seed), state.step, job.config.micro_batches
        )
        passes, found = [], []
        for part, key in zip(parts, keys, strict=True):
            passes.append(self._programs.forward(given, part, scale, key))
            gradients = {}
            self._programs.backward(passes[-1], gradients.__setitem__)
            found.append(gradients)
        weights, optimizer = {}, {}
        for stage, total in ordered_sum(found).items():
            start = 0
            for layer in (job.layers[number] for number in job.stages[stage].layers):
                gradient = total[start : start + layer.layout.size]
                start += layer.layout.size
                weights[layer.name], optimizer[layer.name] = self._update[layer.name](
                    state.weights[layer.name], state.optimizer[layer.name], gradient
                )
        states = {key: each for key, each in state.weights.items() if key.endswith("/state")}
        weights |= self._next_states(states, [each.observed for each in passes])
        loss = ordered_sum([each.loss for each in passes])
        return TrainState(weights, optimizer, state.step + 1), loss
