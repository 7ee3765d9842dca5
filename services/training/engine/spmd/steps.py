"""A training step as one device of the mesh carries it out, for use inside `shard_map`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from services.training.engine.fitting import FitConfig, Objective
from services.training.engine.layers import Weights, split_state
from services.training.engine.layerwise import Forward, LayerPrograms
from services.training.engine.optimizers import vector_optimizer
from services.training.engine.spmd.collectives import (
    AXIS,
    after,
    fused_sum,
    pull,
    push,
    share_norm,
    share_of,
)
from services.training.engine.step import (
    DeviceBatch,
    Optimizers,
    TrainState,
    micro_slice,
    next_states,
    ordered_sum,
    step_key,
    update_layer,
)
from services.training.models import LayerList

Array = jax.Array
Step = Callable[[TrainState, DeviceBatch, Array], tuple[TrainState, Array]]


def fused_step(
    layers: LayerList, objective: Objective, config: FitConfig, optimizers: Optimizers
) -> Step:
    """Every device updates everything after one all-reduce of all that has to be summed."""
    share = _Share(LayerPrograms(layers, objective, config.precision), config.micro_batches)

    def step(state: TrainState, batch: DeviceBatch, seed: Array) -> tuple[TrainState, Array]:
        parameters, states = split_state(state.weights)
        passes = share.forward(state, batch, seed)
        gradients = dict(share.backward(passes))
        gradients, sums = fused_sum((gradients, _sums(passes, batch)))
        scale = _scale(sums.mass)
        weights, optimizer = {}, {}
        for name, transform in optimizers.items():
            weights[name], optimizer[name] = update_layer(
                transform, parameters[name], state.optimizer[name], gradients[name] * scale
            )
        weights |= next_states(layers, states, [_mean(sums.observed, config)])
        return TrainState(weights, optimizer, state.step + 1), sums.loss * scale

    return step


def sharded_step(
    layers: LayerList, objective: Objective, config: FitConfig, total_steps: int
) -> Step:
    """Layer by layer on the way back: push its gradient, update the share owned, pull the whole.

    Each push waits for the push before and each pull for the pull before, so that they stay apart
    and in order; no gradient waits for any of them, so that they travel while lower layers are
    computed.
    """
    share = _Share(LayerPrograms(layers, objective, config.precision), config.micro_batches)
    masks = {layer.name: jnp.asarray(layer.layout.decay_mask()) for layer in layers}

    def step(state: TrainState, batch: DeviceBatch, seed: Array) -> tuple[TrainState, Array]:
        parameters, states = split_state(state.weights)
        passes = share.forward(state, batch, seed)
        sums = fused_sum(_sums(passes, batch))
        scale = _scale(sums.mass)
        weights, optimizer = {}, {}
        pushed: Array | None = None
        pulled: Array | None = None
        for name, gradient in share.backward(passes):
            pushed = push(after(gradient, pushed))
            transform = vector_optimizer(
                config.optimizer, share_of(masks[name]), total_steps, share_norm
            )
            owned, optimizer[name] = update_layer(
                transform, share_of(parameters[name]), state.optimizer[name], pushed * scale
            )
            pulled = pull(after(owned, pulled), gradient.size)
            weights[name] = pulled
        weights |= next_states(layers, states, [_mean(sums.observed, config)])
        return TrainState(weights, optimizer, state.step + 1), sums.loss * scale

    return step


class _Share:
    """A device's part of the micro-batches, which follow one another by the device's number."""

    def __init__(self, programs: LayerPrograms, micro_batches: int) -> None:
        self._programs = programs
        self._micro_batches = micro_batches

    def forward(self, state: TrainState, batch: DeviceBatch, seed: Array) -> list[Forward]:
        """My micro-batches; their losses are sums, made means when all devices' are known."""
        count = self._micro_batches // jax.lax.axis_size(AXIS)
        first = jax.lax.axis_index(AXIS) * count
        one = jnp.ones((), batch.weights.dtype)
        return [
            self._programs.forward(
                state.weights,
                micro_slice(batch, number, count),
                one,
                step_key(seed, state.step, first + number),
            )
            for number in range(count)
        ]

    def backward(self, passes: list[Forward]) -> Iterator[tuple[str, Array]]:
        """(layer name, my gradient), last layer first."""
        cotangents = [forward.cotangent for forward in passes]
        for number in reversed(range(len(self._programs.layers))):
            gradients = []
            for part, forward in enumerate(passes):
                gradient, cotangents[part] = self._programs.backward_stage(
                    number, forward.tapes, cotangents[part]
                )
                gradients.append(gradient)
            yield self._programs.layers[number].name, ordered_sum(gradients)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Sums:
    """What is summed over rows beside gradients."""

    loss: Array
    mass: Array
    observed: Weights


def _sums(passes: list[Forward], batch: DeviceBatch) -> _Sums:
    loss = ordered_sum([forward.loss for forward in passes])
    return _Sums(loss, batch.weights.sum(), ordered_sum([each.observed for each in passes]))


def _scale(mass: Array) -> Array:
    return 1.0 / jnp.maximum(mass, 1e-12)


def _mean(total: Weights, config: FitConfig) -> Weights:
    return {key: each / config.micro_batches for key, each in total.items()}
