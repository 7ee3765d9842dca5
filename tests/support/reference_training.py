"""A parameter-server job carried out on one device, which every mode is compared with."""

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine.local import numbers, to_device, widen_batch
from services.training.engine.optimizers import optimizers
from services.training.engine.rows import plan_epoch, take
from services.training.engine.runtimes import LeanRuntime


def reference(job, epochs=None):
    """The state after so many epochs (all when None), and the loss of each step."""
    with numbers(job.config):
        transforms = optimizers(job.config.optimizer, job.layers, job.total_steps)
        runtime = LeanRuntime(job.layers, job.objective, job.config, transforms)
        state, losses = job.start().state, []
        for epoch in range(job.config.epochs if epochs is None else epochs):
            for plan in plan_epoch(job.rows, job.batch_size, job.seed, epoch):
                batch = to_device(widen_batch(take(job.rows, plan, job.batch_size), job.config))
                state, value = runtime.step(state, batch, jnp.uint32(job.seed))
                losses.append(float(value))
        return jax.tree.map(np.asarray, state), losses
