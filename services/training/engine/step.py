"""One training step and one evaluation as pure functions, ready to be compiled."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from services.training.engine.fitting import FitConfig, Objective
from services.training.engine.layers import Weights, forward, split_state
from services.training.engine.optimizers import OptimizerState
from services.training.models import LayerList
from services.training.models.noise import fold, root_key

Array = jax.Array
Optimizers = dict[str, optax.GradientTransformation]


class TrainState(NamedTuple):
    """All that a step changes."""

    weights: Weights
    optimizer: OptimizerState
    step: Array


class DeviceBatch(NamedTuple):
    """A batch as the compiled step takes it."""

    inputs: dict[str, Array]
    targets: dict[str, Array]
    weights: Array


def init_state(weights: Weights, optimizers: Optimizers) -> TrainState:
    """Before the first step."""
    states = {name: transform.init(weights[name]) for name, transform in optimizers.items()}
    return TrainState(weights, states, jnp.zeros((), jnp.int32))


def step_key(seed: Array, step: Array, micro_batch: Array | int) -> Array:
    """The random key of a micro-batch: the same whoever computes it."""
    return fold(fold(root_key(seed), step), micro_batch)


def micro_slice(batch: DeviceBatch, number: int, count: int) -> DeviceBatch:
    """The micro-batch of that number."""
    size = batch.weights.shape[0] // count
    part: DeviceBatch = jax.tree.map(lambda a: a[number * size : (number + 1) * size], batch)
    return part


def ordered_sum(parts: list[Any]) -> Any:
    """((p0 + p1) + p2) + …: the order that every runtime keeps."""
    total = parts[0]
    for part in parts[1:]:
        total = jax.tree.map(jnp.add, total, part)
    return total


def next_states(layers: LayerList, states: Weights, observed: list[Weights]) -> Weights:
    """States moved towards the mean of what the micro-batches observed."""
    if not states:
        return {}
    total = ordered_sum(observed)
    kept = {f"{layer.name}/state": layer.state_momentum for layer in layers}
    return {
        key: next_state(kept[key], state, total[key], len(observed))
        for key, state in states.items()
    }


def next_state(kept: float, state: Array, total: Array, count: int) -> Array:
    """One layer's state moved towards the mean of `count` observations that sum to `total`."""
    return kept * state + (1.0 - kept) * (total / count).astype(state.dtype)


def update_layer(
    transform: optax.GradientTransformation, flat: Array, state: Any, gradient: Array
) -> tuple[Array, Any]:
    """One layer's vector and optimizer state after a gradient."""
    updates, after = transform.update(gradient, state, flat)
    return optax.apply_updates(flat, updates), after


def train_step(
    layers: LayerList, objective: Objective, config: FitConfig, optimizers: Optimizers
) -> Callable[[TrainState, DeviceBatch, Array], tuple[TrainState, Array]]:
    """A pure step (state, batch, seed) -> (state, mean loss), in one program."""

    def loss(
        parameters: Weights, states: Weights, part: DeviceBatch, scale: Array, key: Array
    ) -> tuple[Array, Weights]:
        outputs, observed = forward(
            layers,
            {**parameters, **states},
            part.inputs,
            is_training=True,
            key=key,
            precision=config.precision,
        )
        return objective(outputs, part.targets, part.weights).sum() * scale, observed

    def step(state: TrainState, batch: DeviceBatch, seed: Array) -> tuple[TrainState, Array]:
        parameters, states = split_state(state.weights)
        scale = 1.0 / jnp.maximum(batch.weights.sum(), 1e-12)
        losses, gradients, observed = [], [], []
        for number in range(config.micro_batches):
            part = micro_slice(batch, number, config.micro_batches)
            key = step_key(seed, state.step, number)
            (value, seen), gradient = jax.value_and_grad(loss, has_aux=True)(
                parameters, states, part, scale, key
            )
            losses.append(value)
            gradients.append(gradient)
            observed.append(seen)
        total = ordered_sum(gradients)
        updated, optimizer = {}, {}
        for name, transform in optimizers.items():
            updated[name], optimizer[name] = update_layer(
                transform, parameters[name], state.optimizer[name], total[name]
            )
        weights = {**updated, **next_states(layers, states, observed)}
        return TrainState(weights, optimizer, state.step + 1), ordered_sum(losses)

    return step


def evaluation(
    layers: LayerList, objective: Objective, config: FitConfig
) -> Callable[[Weights, DeviceBatch], tuple[Array, Array]]:
    """A pure function (weights, batch) -> (sum of losses, sum of row weights)."""

    def evaluate(weights: Weights, batch: DeviceBatch) -> tuple[Array, Array]:
        outputs, _ = forward(layers, weights, batch.inputs, precision=config.precision)
        return objective(outputs, batch.targets, batch.weights).sum(), batch.weights.sum()

    return evaluate


def mean_loss(
    evaluate: Callable[[Weights, DeviceBatch], tuple[Array, Array]],
    weights: Weights,
    batches: Iterable[DeviceBatch],
) -> float:
    """The mean loss over all rows of the batches, by their weights."""
    total, mass = 0.0, 0.0
    for batch in batches:
        loss, weight = evaluate(weights, batch)
        total, mass = total + float(loss), mass + float(weight)
    return total / max(mass, 1e-12)
