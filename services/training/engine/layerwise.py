"""Forward and backward a stage at a time: a gradient can leave as soon as it exists.

A stage is a run of consecutive layers. It has a forward program, whose result carries all that its
backward needs, and a backward program. Whoever drives them decides what happens between: `lean`
training updates the layer at once, a parameter server is sent the gradients. Those with the same
stages compute the same bits, because they run the same programs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

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
from services.training.engine.rows import Batch
from services.training.engine.stages import STAGE_NUMBERS, Stage, single_layers
from services.training.engine.step import DeviceBatch
from services.training.models import LayerList, Layout, Parameter, Step

Array = jax.Array
Tape = Any
"""What a stage's backward needs of its forward, as a pytree."""

Program = Callable[..., Any]

OnGradient = Callable[[int, Array], None]
"""(stage number, gradient of its parameters)."""
Wrap = Callable[[int, str, Program], Program]

PARTS = 2
"""Programs of a divisible stage's backward: for its parameters, and for its carry."""


@dataclass(frozen=True)
class Forward:
    """One micro-batch after its forward pass."""

    tapes: list[Tape]
    loss: Array
    cotangent: Outputs
    observed: Weights


class LayerPrograms:
    """The compiled programs of a model: two for each stage and one for the loss.

    A last stage of several layers is one program with the loss, forward and back: nothing has to
    be kept for its backward.

    Args:
        stages: Without, every layer is one.
        wrap: (stage number, "forward", "backward", "carry" or "turn", program) -> what is called
            in its place, for those who measure. "carry" is the second part of a divided backward.
    """

    def __init__(
        self,
        layers: LayerList,
        objective: Objective,
        precision: Precision,
        stages: Sequence[Stage] | None = None,
        *,
        wrap: Wrap = lambda _number, _kind, program: program,
    ) -> None:
        self.layers = layers
        self.stages = tuple(stages or single_layers(layers))
        self._states = [_state_keys(layers, stage) for stage in self.stages]
        self._sizes = [
            sum(layers[layer].layout.size for layer in stage.layers) for stage in self.stages
        ]
        passes = [_Pass(layers, stage, precision) for stage in self.stages]
        turns = len(self.stages[-1].layers) > 1
        self._turn = (
            wrap(len(passes) - 1, "turn", jax.jit(passes.pop().turn(objective))) if turns else None
        )
        self._forward = [
            wrap(number, "forward", jax.jit(each.forward)) for number, each in enumerate(passes)
        ]
        self._backward = [
            [
                wrap(number, kind, jax.jit(part))
                for kind, part in zip(("backward", "carry"), _parts(number, each), strict=False)
            ]
            for number, each in enumerate(passes)
        ]
        self._loss = jax.jit(_loss_of(objective))

    def forward(
        self,
        weights: Mapping[str, ArrayLike],
        part: DeviceBatch | Batch,
        scale: Array,
        key: Array,
    ) -> Forward:
        """Run all stages; the loss is the micro-batch's sum times `scale`.

        `weights` has a vector for each stage's name and the states of layers. It is asked for
        those of a stage when the stage runs, and not before.
        """
        carry: Mapping[str, ArrayLike] = part.inputs
        tapes: list[Tape] = []
        observed: Weights = {}
        for number, program in enumerate(self._forward):
            carry, tape, seen = program(*self._given(weights, number), carry, key)
            tapes.append(tape)
            observed |= seen
        if self._turn is None:
            loss, cotangent = self._loss(carry, part.targets, part.weights, scale)
            return Forward(tapes, loss, cotangent, observed)
        given = self._given(weights, len(tapes))
        loss, tape, seen = self._turn(*given, carry, key, part.targets, part.weights, scale)
        return Forward([*tapes, tape], loss, {}, observed | seen)

    def backward(self, forward: Forward, on_gradient: OnGradient) -> None:
        """Go back through the stages, last stage first."""
        cotangent = forward.cotangent
        for number in reversed(range(len(self.stages))):
            cotangent = self._go_back(number, forward.tapes, cotangent, on_gradient)

    def backward_lowest_first(
        self, forward: Forward, on_gradient: OnGradient, head_start: int = STAGE_NUMBERS
    ) -> None:
        """The same gradients, those of low stages as early as can be: they are needed first.

        Divisible stages are passed through at first, and come to their parameters on the way back
        up; all cotangents between are kept until then. Only the uppermost stages of so many
        parameters as `head_start` are not, so that there soon is something to send.
        """
        cotangent = forward.cotangent
        passed: list[tuple[int, Tape, Outputs]] = []
        for number in reversed(range(len(self.stages))):
            is_divided = number < len(self._backward) and len(self._backward[number]) == PARTS
            if is_divided and head_start <= 0:
                tape = forward.tapes.pop()
                passed.append((number, tape, cotangent))
                cotangent = self._backward[number][1](tape, cotangent)
                continue
            cotangent = self._go_back(number, forward.tapes, cotangent, on_gradient)
            head_start -= self._sizes[number]
        while passed:
            number, tape, cotangent = passed.pop()
            on_gradient(number, self._backward[number][0](tape, cotangent))

    def backward_stage(
        self, number: int, tapes: list[Tape], cotangent: Outputs
    ) -> tuple[Array, Outputs]:
        """Gradient of one stage and the cotangent for the one below; the tape is used up."""
        tape = tapes.pop()
        if number == len(self._backward):  # the turn has gone back already
            gradient, below = tape
            return gradient, below
        programs = self._backward[number]
        if len(programs) == PARTS:
            return programs[0](tape, cotangent), programs[1](tape, cotangent)
        gradient, below = programs[0](tape, cotangent)
        return gradient, below

    def _go_back(
        self, number: int, tapes: list[Tape], cotangent: Outputs, on_gradient: OnGradient
    ) -> Outputs:
        """As `backward_stage`, and hand the gradient over as soon as there is one."""
        if number < len(self._backward) and len(self._backward[number]) == PARTS:
            tape = tapes.pop()
            on_gradient(number, self._backward[number][0](tape, cotangent))
            below: Outputs = self._backward[number][1](tape, cotangent)
            return below
        gradient, below = self.backward_stage(number, tapes, cotangent)
        on_gradient(number, gradient)
        return below

    def _given(
        self, weights: Mapping[str, ArrayLike], number: int
    ) -> tuple[ArrayLike, Mapping[str, ArrayLike]]:
        """The stage's vector, and the states of those layers that have one."""
        flat = weights[self.stages[number].name]
        return flat, {key: weights[key] for key in self._states[number]}


class _Pass:
    """What the programs of one stage compute."""

    def __init__(self, layers: LayerList, stage: Stage, precision: Precision) -> None:
        self._layers = {number: layers[number] for number in stage.layers}
        self._precision = precision
        self._is_first = stage.layers.start == 0
        alone = len(self._layers) == 1
        self.is_divisible = alone and all(each.is_divisible for each in self._layers.values())
        # As the arrays within a layer, so that the gradient is laid end to end in one go.
        self._layout = Layout(
            tuple(Parameter(each.name, (each.layout.size,)) for each in self._layers.values())
        )

    def forward(
        self, flat: Array, states: Weights, carry: Outputs, key: Array
    ) -> tuple[Outputs, Tape, Weights]:
        """The carry for the next stage, the tape and what the layers observed."""
        floats, rest = self._split(carry)

        def run(flat: Array, floats: Outputs) -> tuple[Outputs, tuple[Outputs, Weights]]:
            out, seen = self._through(flat, states, {**floats, **rest}, key)
            out_floats, out_rest = _split_floats(out)
            return out_floats, (out_rest, seen)

        out, tape, (out_rest, seen) = jax.vjp(run, flat, floats, has_aux=True)
        return {**out, **out_rest}, tape, seen

    def turn(self, objective: Objective) -> Callable[..., tuple[Array, Tape, Weights]]:
        """Forward to the loss and back, as the last stage: its tape is what backward would give."""

        def run(
            flat: Array,
            states: Weights,
            carry: Outputs,
            key: Array,
            targets: Outputs,
            weights: Array,
            scale: Array,
        ) -> tuple[Array, Tape, Weights]:
            floats, rest = self._split(carry)

            def loss(flat: Array, floats: Outputs) -> tuple[Array, Weights]:
                out, seen = self._through(flat, states, {**floats, **rest}, key)
                return objective(as_outputs(out), targets, weights).sum() * scale, seen

            if self._is_first:  # nobody wants the gradient of data
                (value, seen), gradient = jax.value_and_grad(loss, has_aux=True)(flat, floats)
                return value, (gradient, {}), seen
            (value, seen), tape = jax.value_and_grad(loss, (0, 1), has_aux=True)(flat, floats)
            return value, tape, seen

        return run

    def _split(self, carry: Outputs) -> tuple[Outputs, Outputs]:
        """Data comes in any type of float, everything else in that of the computation."""
        is_data = self._is_first
        return _split_floats(cast_floats(carry, jnp.dtype(self._precision)) if is_data else carry)

    def _through(
        self, flat: Array, states: Weights, carry: Outputs, key: Array
    ) -> tuple[Outputs, Weights]:
        is_alone = len(self._layers) == 1
        observed: Weights = {}
        flats = {} if is_alone else self._layout.unpack(flat)
        for number, layer in self._layers.items():
            name = state_key(layer.name)
            state = states.get(name, jnp.zeros((0,), jnp.float32))
            step = Step(True, layer_key(key, number))
            vector = flat if is_alone else flats[layer.name]
            carry, seen = apply_layer(layer, vector, state, carry, step, self._precision)
            if layer.state.size:
                observed[name] = seen
        return carry, observed


def _state_keys(layers: LayerList, stage: Stage) -> list[str]:
    members = [layers[number] for number in stage.layers]
    return [state_key(layer.name) for layer in members if layer.state.size]


def _loss_of(objective: Objective) -> Callable[..., tuple[Array, Outputs]]:
    def run(
        carry: Outputs, targets: Outputs, weights: Array, scale: Array
    ) -> tuple[Array, Outputs]:
        def loss(carry: Outputs) -> Array:
            return objective(as_outputs(carry), targets, weights).sum() * scale

        return jax.value_and_grad(loss)(carry)

    return run


def _parts(number: int, stage: _Pass) -> tuple[Program, ...]:
    """What a stage's backward consists of."""
    if not number:  # its inputs are data: nobody wants their gradient
        return (_without_carry,)
    return (_of_parameters, _of_carry) if stage.is_divisible else (_both,)


def _both(tape: Tape, cotangent: Outputs) -> tuple[Array, Outputs]:
    gradient, below = tape(cotangent)
    return gradient, below


def _without_carry(tape: Tape, cotangent: Outputs) -> tuple[Array, Outputs]:
    return tape(cotangent)[0], {}


def _of_parameters(tape: Tape, cotangent: Outputs) -> Array:
    gradient: Array = tape(cotangent)[0]
    return gradient


def _of_carry(tape: Tape, cotangent: Outputs) -> Outputs:
    below: Outputs = tape(cotangent)[1]
    return below


def _split_floats(carry: Outputs) -> tuple[Outputs, Outputs]:
    """Arrays that have a gradient, and those that have none."""
    floats = {k: v for k, v in carry.items() if jnp.issubdtype(v.dtype, jnp.floating)}
    return floats, {k: v for k, v in carry.items() if k not in floats}
