"""How a step is carried out on one device: `fused` in one program, or `lean` layer by layer."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from services.training.engine.fitting import FitConfig, Objective
from services.training.engine.layers import Weights, split_state
from services.training.engine.layerwise import LayerPrograms
from services.training.engine.rows import Batch
from services.training.engine.standing import StandingStore
from services.training.engine.step import (
    DeviceBatch,
    Optimizers,
    TrainState,
    micro_slice,
    next_states,
    ordered_sum,
    step_key,
    train_step,
    update_layer,
)
from services.training.models import LayerList

Array = jax.Array
Sums = Callable[[Weights, DeviceBatch], tuple[Array, Array]]
"""(weights, batch) -> two sums over the rows of the batch."""


class Runtime(Protocol):
    """Carries out optimizer steps."""

    def step(self, state: TrainState, batch: DeviceBatch, seed: Array) -> tuple[TrainState, Array]:
        """The state after the step, and the mean loss before it; `state` is used up."""
        ...


class Placement(Protocol):
    """Where rows and states lie for a runtime."""

    def batch(self, size: int, read: Callable[[slice], Batch]) -> DeviceBatch:
        """A batch of `size` rows as `step` takes it; `read` is asked for this process's part."""
        ...

    def place(self, state: TrainState) -> TrainState:
        """A state of whole vectors as `step` takes it."""
        ...

    def whole(self, state: TrainState) -> TrainState:
        """A state as `step` gives it, as whole vectors on one device of this process."""
        ...

    def over_all_rows(self, sums: Sums) -> Sums:
        """`sums` taken over the rows of every process and device."""
        ...

    def keeping(self, store: StandingStore) -> StandingStore:
        """A store that is given standings of states as `step` gives them, and keeps them whole."""
        ...


class Compiled:
    """A function compiled ahead of time once for every shape of its second argument."""

    def __init__(self, function: Callable[..., Any], donate: tuple[int, ...] = ()) -> None:
        self._jitted = jax.jit(function, donate_argnums=donate)
        self._programs: dict[Any, Any] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Call the program for these shapes, making it first where there is none."""
        signature = tuple((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(arguments[1]))
        if signature not in self._programs:
            self._programs[signature] = self._jitted.lower(*arguments).compile()
        return self._programs[signature](*arguments)


class FusedRuntime:
    """The whole step in one program: the fastest on one device."""

    def __init__(
        self, layers: LayerList, objective: Objective, config: FitConfig, optimizers: Optimizers
    ) -> None:
        self._step = Compiled(train_step(layers, objective, config, optimizers), donate=(0,))

    def step(self, state: TrainState, batch: DeviceBatch, seed: Array) -> tuple[TrainState, Array]:
        """One call of one program."""
        after, loss = self._step(state, batch, seed)
        return after, loss


class LeanRuntime:
    """Layer by layer; each gradient is applied and freed before the next layer's is computed.

    One device, the micro-batches in their order: a parameter server that trains layer by layer ends
    with the same bits.

    Args:
        on_gradient: Told a layer's name while its gradient is the only one alive.
    """

    def __init__(
        self,
        layers: LayerList,
        objective: Objective,
        config: FitConfig,
        optimizers: Optimizers,
        on_gradient: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._layers = layers
        self._parts = config.micro_batches
        self._programs = LayerPrograms(layers, objective, config.precision)
        self._update = {
            name: jax.jit(partial(update_layer, transform), donate_argnums=(0, 1))
            for name, transform in optimizers.items()
        }
        self._add = jax.jit(jnp.add, donate_argnums=(0,))
        self._next_states = jax.jit(partial(next_states, layers))
        self._prepare = jax.jit(prepare_step, static_argnums=(3,))
        self._on_gradient = on_gradient

    def step(self, state: TrainState, batch: DeviceBatch, seed: Array) -> tuple[TrainState, Array]:
        """All micro-batches forward, then back together one layer at a time."""
        parts, scale, keys = self._prepare(batch, seed, state.step, self._parts)
        passes = [
            self._programs.forward(state.weights, part, scale, key)
            for part, key in zip(parts, keys, strict=True)
        ]
        cotangents = [forward.cotangent for forward in passes]
        parameters, states = split_state(state.weights)
        weights, optimizer = {}, {}
        for number in reversed(range(len(self._layers))):
            name = self._layers[number].name
            total: Array | None = None
            for part, forward in enumerate(passes):
                gradient, cotangents[part] = self._programs.backward_stage(
                    number, forward.tapes, cotangents[part]
                )
                total = gradient if total is None else self._add(total, gradient)
                del gradient
            self._on_gradient(name)
            weights[name], optimizer[name] = self._update[name](
                parameters[name], state.optimizer[name], total
            )
            del total
        weights |= self._next_states(states, [forward.observed for forward in passes])
        loss = ordered_sum([forward.loss for forward in passes])
        return TrainState(weights, optimizer, state.step + 1), loss


def prepare_step(
    batch: DeviceBatch, seed: Array, step: Array, parts: int
) -> tuple[list[DeviceBatch], Array, list[Array]]:
    """The micro-batches of a step, the factor that makes their sums a mean, and their keys."""
    scale = 1.0 / jnp.maximum(batch.weights.sum(), 1e-12)
    numbers = range(parts)
    slices = [micro_slice(batch, number, parts) for number in numbers]
    return slices, scale, [step_key(seed, step, number) for number in numbers]
