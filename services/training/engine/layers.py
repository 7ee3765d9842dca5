"""What a layer list means as a whole: fresh weights, one forward pass, one pure function."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import jax
import jax.numpy as jnp

from services.training.models import Layer, LayerList, Step
from services.training.models.noise import fold

Array = jax.Array
Weights = dict[str, Array]
"""Flat float32 vector by layer name, and `<layer>/state` for a layer that has state."""
Inputs = Mapping[str, Array]
Outputs = dict[str, Array]
Precision = Literal["float32", "bfloat16", "float64"]


def state_key(layer_name: str) -> str:
    """The key of a layer's state in the weights."""
    return f"{layer_name}/state"


def init_weights(
    layers: LayerList, seed: int, learned: Mapping[str, Any] = MappingProxyType({})
) -> Weights:
    """Fresh weights; a layer's draw depends on the seed and its place alone.

    Args:
        learned: Vectors that an earlier fit has learned, which take the place of a draw.
    """
    names = [layer.name for layer in layers]
    if len(set(names)) < len(names):
        raise ValueError(f"layer names must differ: {names}")
    weights = {}
    for number, layer in enumerate(layers):
        weights[layer.name] = layer.init((seed, number))
        if layer.state.size:
            weights[state_key(layer.name)] = layer.init_state()
    unknown = sorted(set(learned) - set(weights))
    if unknown:
        raise ValueError(f"no layer of this model is called {unknown[0]!r}")
    weights |= learned
    placed: Weights = jax.device_put(weights)
    return placed


def split_state(weights: Weights) -> tuple[Weights, Weights]:
    """The trained vectors, and the states."""
    states = {key: value for key, value in weights.items() if key.endswith("/state")}
    return {key: value for key, value in weights.items() if key not in states}, states


def layer_key(key: Array | None, number: Array | int) -> Array | None:
    """The random key of the layer at a place in the list."""
    return None if key is None else fold(key, number)


def cast_floats(arrays: Mapping[str, Array], dtype: jnp.dtype) -> dict[str, Array]:
    """Floating arrays in the compute type; integers as they are."""
    return {
        name: array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array
        for name, array in arrays.items()
    }


def apply_layer(
    layer: Layer,
    flat: Array,
    state: Array,
    carry: Outputs,
    step: Step,
    precision: Precision,
) -> tuple[Outputs, Array]:
    """One layer in the compute type; the flat vector stays in its own."""
    return layer.apply(flat.astype(jnp.dtype(precision)), state, carry, step)


def as_outputs(carry: Outputs) -> Outputs:
    """The last carry in at least float32, which every loss is computed in."""
    return {
        name: value.astype(jnp.promote_types(value.dtype, jnp.float32))
        for name, value in carry.items()
    }


def forward(
    layers: LayerList,
    weights: Weights,
    inputs: Inputs,
    *,
    is_training: bool = False,
    key: Array | None = None,
    precision: Precision = "float32",
) -> tuple[Outputs, Weights]:
    """Run the layers in order.

    Returns:
        Outputs by head, and what each stateful layer observed.
    """
    carry = cast_floats(inputs, jnp.dtype(precision))
    observed: Weights = {}
    for number, layer in enumerate(layers):
        step = Step(is_training, layer_key(key, number))
        state = weights.get(state_key(layer.name), jnp.zeros((0,), jnp.float32))
        carry, seen = apply_layer(layer, weights[layer.name], state, carry, step, precision)
        if layer.state.size:
            observed[state_key(layer.name)] = seen
    return as_outputs(carry), observed


def predict_fn(layers: LayerList) -> Callable[[Weights, Inputs], Outputs]:
    """The trained model as a pure function (weights, inputs) -> outputs, ready for export."""

    def predict(weights: Weights, inputs: Inputs) -> Outputs:
        return forward(layers, weights, inputs)[0]

    return predict
