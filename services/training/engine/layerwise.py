"""Forward and backward one layer at a time: a gradient can leave as soon as it exists.

Every layer has a forward program, whose result carries all that its backward needs, and a
backward program. Whoever drives them decides what happens between: `lean` training updates the
layer at once, a parameter server is sent the gradient. Both compute the same bits, because they
run the same programs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from services.training.engine.fitting import Objective
from services.training.engine.layers import (
    Outputs,
    Precision,
    Weights,
    apply_layer,
    as_outputs,
    cast_floats,
    layer_key,
    state_key,
)
from services.training.engine.step import DeviceBatch
from services.training.models import Layer, LayerList, Step

Array = jax.Array
Tape = Any
"""What a layer's backward needs of its forward, as a pytree."""


Program = Callable[..., Any]
Wrap = Callable[[int, str, Program], Program]


@dataclass(frozen=True)
class Forward:
    """One micro-batch after its forward pass."""

    tapes: list[Tape]
    loss: Array
    cotangent: Outputs
    observed: Weights


class LayerPrograms:
    """The compiled programs of a model, two for each layer and one for the loss.

    Args:
        wrap: (layer number, "forward" or "backward", program) -> what is called in its place, for
            those who measure.
    """

    def __init__(
        self,
        layers: LayerList,
        objective: Objective,
        precision: Precision,
        wrap: Wrap = lambda _number, _kind, program: program,
    ) -> None:
        self.layers = layers
        self._dtype = jnp.dtype(precision)
        forward = [jax.jit(_forward_of(layer, precision)) for layer in layers]
        # The first layer's inputs are data: nobody wants their gradient.
        backward = [jax.jit(_parameters_only), *(jax.jit(_both) for _ in layers[1:])]
        self._forward = [wrap(number, "forward", each) for number, each in enumerate(forward)]
        self._backward = [wrap(number, "backward", each) for number, each in enumerate(backward)]
        self._loss = jax.jit(_loss_of(objective))

    def forward(
        self, weights: Mapping[str, Array], part: DeviceBatch, scale: Array, key: Array
    ) -> Forward:
        """Run all layers; the loss is the micro-batch's sum times `scale`.

        `weights` is asked for a layer's vector when the layer runs, and not before.
        """
        carry = cast_floats(part.inputs, self._dtype)
        tapes, observed = [], {}
        for number, layer in enumerate(self.layers):
            state = weights.get(state_key(layer.name), jnp.zeros((0,), jnp.float32))
            carry, tape, seen = self._forward[number](
                weights[layer.name], state, carry, key, jnp.uint32(number)
            )
            tapes.append(tape)
            if layer.state.size:
                observed[state_key(layer.name)] = seen
        loss, cotangent = self._loss(carry, part.targets, part.weights, scale)
        return Forward(tapes, loss, cotangent, observed)

    def backward(self, forward: Forward, on_gradient: Callable[[int, Array], None]) -> None:
        """Go back through the layers; `on_gradient(number, gradient)`, last layer first."""
        cotangent = forward.cotangent
        for number in reversed(range(len(self.layers))):
            gradient, cotangent = self.backward_layer(number, forward.tapes, cotangent)
            on_gradient(number, gradient)

    def backward_layer(
        self, number: int, tapes: list[Tape], cotangent: Outputs
    ) -> tuple[Array, Outputs]:
        """Gradient of one layer and the cotangent for the one below; the tape is used up."""
        gradient, below = self._backward[number](tapes.pop(), cotangent)
        return gradient, below


def _forward_of(layer: Layer, precision: Precision) -> Callable[..., tuple[Outputs, Tape, Array]]:
    def run(
        flat: Array, state: Array, carry: Outputs, key: Array, number: Array
    ) -> tuple[Outputs, Tape, Array]:
        floats, rest = _split_floats(carry)

        def inner(flat: Array, floats: Outputs) -> tuple[Outputs, tuple[Outputs, Array]]:
            step = Step(True, layer_key(key, number))
            out, seen = apply_layer(layer, flat, state, {**floats, **rest}, step, precision)
            out_floats, out_rest = _split_floats(out)
            return out_floats, (out_rest, seen)

        out, tape, (out_rest, seen) = jax.vjp(inner, flat, floats, has_aux=True)
        return {**out, **out_rest}, tape, seen

    return run


def _loss_of(objective: Objective) -> Callable[..., tuple[Array, Outputs]]:
    def run(
        carry: Outputs, targets: Outputs, weights: Array, scale: Array
    ) -> tuple[Array, Outputs]:
        def loss(carry: Outputs) -> Array:
            return objective(as_outputs(carry), targets, weights).sum() * scale

        return jax.value_and_grad(loss)(carry)

    return run


def _both(tape: Tape, cotangent: Outputs) -> tuple[Array, Outputs]:
    gradient, below = tape(cotangent)
    return gradient, below


def _parameters_only(tape: Tape, cotangent: Outputs) -> tuple[Array, Outputs]:
    return tape(cotangent)[0], {}


def _split_floats(carry: Outputs) -> tuple[Outputs, Outputs]:
    """Arrays that have a gradient, and those that have none."""
    floats = {k: v for k, v in carry.items() if jnp.issubdtype(v.dtype, jnp.floating)}
    return floats, {k: v for k, v in carry.items() if k not in floats}
