"""How an owner updates its numbers: the programs of one device, applied to ranges of a vector."""

from itertools import accumulate, pairwise
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
        self._masks = [
            np.concatenate([job.layers[number].layout.decay_mask() for number in vector.layers])
            for vector in job.vectors
        ]
        self._bounds = [
            _bounds([job.layers[number].layout.size for number in vector.layers])
            for vector in job.vectors
        ]
        self._placed: dict[tuple[int, int, int], Array] = {}
        self._optimizer = job.config.optimizer
        self._steps = job.total_steps
        self._parts = job.config.micro_batches

    def template(self, vector: int, size: int) -> Any:
        """Shapes of the optimizer's state for such a range; None for states of layers."""
        if self._vectors[vector].is_state:
            return None
        transform = vector_optimizer(self._optimizer, jnp.zeros(size), self._steps)
        return jax.eval_shape(transform.init, np.empty(size, self.dtype))

    def _mask(self, vector: int, start: int, size: int) -> Array:
        """Where weight decay acts in a range, kept on the device from its first update on."""
        key = (vector, start, size)
        if key not in self._placed:
            mask = self._masks[vector][start : start + size]
            self._placed[key] = jax.device_put(mask)
        return self._placed[key]

    def apply(
        self, vector: int, start: int, values: Array, state: Any, total: NumpyArray
    ) -> tuple[Array, Any]:
        """Values and optimizer state after the sum of what the micro-batches gave."""
        kept = self._vectors[vector]
        if kept.is_state:
            (layer,) = kept.layers
            momentum = self._layers[layer].state_momentum
            return _moved(momentum, values, total, self._parts), None
        mask = self._mask(vector, start, len(total))
        # Numbers that are updated alone need not know which layer they belong to.
        bounds = self._bounds[vector] if kept.is_whole else ((0, len(total)),)
        after: tuple[Array, Any] = _update(
            self._optimizer, self._steps, bounds, values, state, total, mask
        )
        return after


def end_to_end(*parts: NumpyArray) -> NumpyArray:
    """Parts of one leaf as one; single numbers of optimizer states are the same in all of them."""
    return np.concatenate(parts) if is_along(parts[0]) else np.asarray(parts[0])


def is_along(leaf: Any) -> bool:
    """Whether a leaf of an optimizer's state has a number for each number of the range."""
    return np.ndim(leaf) == 1


def _bounds(sizes: list[int]) -> tuple[tuple[int, int], ...]:
    return tuple(pairwise(accumulate(sizes, initial=0)))


def _updated(
    config: OptimizerConfig,
    total_steps: int,
    bounds: tuple[tuple[int, int], ...],
    values: Array,
    state: Any,
    gradient: Array,
    is_decayed: Array,
) -> tuple[Array, Any]:
    """Each layer, from one bound to the next, by itself: its norm is its own."""

    def layer(start: int, end: int) -> tuple[Array, Any]:
        def part(leaf: Array) -> Array:
            return leaf[start:end] if is_along(leaf) else leaf

        transform = vector_optimizer(config, part(is_decayed), total_steps)
        return update_layer(transform, part(values), jax.tree.map(part, state), part(gradient))

    def joined(*leaves: Array) -> Array:
        return jnp.concatenate(leaves) if is_along(leaves[0]) else leaves[0]

    if len(bounds) == 1:
        return layer(*bounds[0])
    after: tuple[Array, Any] = jax.tree.map(joined, *(layer(*each) for each in bounds))
    return after


# Compiled for the process and not for a job, because groups often have jobs of one config.
_update = jax.jit(_updated, static_argnums=(0, 1, 2))
_moved = jax.jit(next_state, static_argnums=(0, 3))
