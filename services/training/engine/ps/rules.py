"""How an owner updates its numbers: the programs of one device, applied to ranges of a vector."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine.optimizers import OptimizerConfig, vector_optimizer
from services.training.engine.ps.job import Job
from services.training.engine.rows import NumpyArray
from services.training.engine.step import next_state, update_layer

Array = jax.Array


class Rules:
    """The update of every vector of a job, compiled once for each length of a range."""

    def __init__(self, job: Job) -> None:
        self.dtype = job.dtype
        self._vectors = job.vectors
        self._layers = job.layers
        self._masks = [layer.layout.decay_mask() for layer in job.layers]
        self._optimizer = job.config.optimizer
        self._steps = job.total_steps
        self._parts = job.config.micro_batches

    def template(self, vector: int, size: int) -> Any:
        """Shapes of the optimizer's state for such a range; None for states of layers."""
        if self._vectors[vector].is_state:
            return None
        transform = vector_optimizer(self._optimizer, jnp.zeros(size), self._steps)
        return jax.eval_shape(transform.init, np.empty(size, self.dtype))

    def apply(
        self, vector: int, start: int, values: Array, state: Any, total: NumpyArray
    ) -> tuple[Array, Any]:
        """Values and optimizer state after the sum of what the micro-batches gave."""
        kept = self._vectors[vector]
        layer = self._layers[kept.layer]
        if kept.is_state:
            return _moved(layer.state_momentum, values, total, self._parts), None
        mask = self._masks[kept.layer][start : start + len(total)]
        after: tuple[Array, Any] = _update(self._optimizer, self._steps, values, state, total, mask)
        return after


def _updated(
    config: OptimizerConfig,
    total_steps: int,
    values: Array,
    state: Any,
    gradient: Array,
    is_decayed: Array,
) -> tuple[Array, Any]:
    transform = vector_optimizer(config, is_decayed, total_steps)
    return update_layer(transform, values, state, gradient)


# Compiled for the process and not for a job, because groups often have jobs of one config.
_update = jax.jit(_updated, static_argnums=(0, 1))
_moved = jax.jit(next_state, static_argnums=(0, 3))
