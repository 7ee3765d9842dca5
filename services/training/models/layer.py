"""A layer as data and a pure function: what every model is made of and every runtime trains."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.models.stored import settled

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]
Carry = dict[str, Array]
"""What flows from layer to layer; at first the inputs by name. A layer may add to it."""


@dataclass(frozen=True)
class Field:
    """One input of a model without its batch axis; an integer field has a vocabulary."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    vocabulary: int = 0


@dataclass(frozen=True)
class InputSpec:
    """The inputs that a model is built for."""

    fields: tuple[Field, ...]

    def __getitem__(self, name: str) -> Field:
        """The field of that name; KeyError when the data has none."""
        return {field.name: field for field in self.fields}[name]

    def width(self, name: str) -> int:
        """How many numbers a field of vectors has; 0 when the data has none of that name."""
        return next((field.shape[0] for field in self.fields if field.name == name), 0)


def table(width: int) -> InputSpec:
    """Rows of `width` standardised numbers, called "features"."""
    return InputSpec((Field("features", (width,)),))


@dataclass(frozen=True)
class HeadSpec:
    """One answer of a model: `width` real numbers a row, called `name`."""

    name: str
    width: int


@dataclass(frozen=True)
class Step:
    """What a layer may know of the step beside its parameters and its carry.

    Args:
        is_training: Whether dropout drops and batch statistics are taken from the batch.
        key: Random key of this step, micro-batch and layer; None outside training.
    """

    is_training: bool
    key: Array | None = None


@dataclass(frozen=True)
class Parameter:
    """A named array inside a layer's flat vector, drawn as `fill + scale * normal`.

    Args:
        is_decayed: Whether weight decay shrinks it; None means that matrices are, vectors not.
    """

    name: str
    shape: tuple[int, ...]
    scale: float = 0.0
    fill: float = 0.0
    is_decayed: bool | None = None

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """Named arrays laid end to end in one flat vector."""

    parameters: tuple[Parameter, ...] = ()

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return sum(parameter.size for parameter in self.parameters)

    def init(self, seeds: Sequence[int]) -> NumpyArray:
        """Draw the float32 vector; a generator a parameter, so adding one changes no other."""
        parts = [
            p.fill + p.scale * np.random.default_rng([*seeds, number]).standard_normal(p.size)
            for number, p in enumerate(self.parameters)
        ]
        return np.concatenate([np.zeros(0), *parts]).astype(np.float32)

    def unpack(self, flat: Array) -> dict[str, Array]:
        """The named arrays, in the vector's own dtype.

        The gradient is the parts laid end to end. Left to itself it would be a sum of as many
        padded vectors, of which XLA asks for every number which part it comes from.
        """
        if not self.parameters:
            return {}

        def forward(flat: Array) -> tuple[dict[str, Array], None]:
            return self._slices(flat), None

        def backward(_: None, d_arrays: dict[str, Array]) -> tuple[Array]:
            parts = [d_arrays[parameter.name].reshape(-1) for parameter in self.parameters]
            return (settled(jnp.concatenate(parts)),)

        split = jax.custom_vjp(self._slices)
        split.defvjp(forward, backward)
        arrays: dict[str, Array] = split(flat)
        return arrays

    def _slices(self, flat: Array) -> dict[str, Array]:
        arrays, start = {}, 0
        for parameter in self.parameters:
            part = jax.lax.slice_in_dim(flat, start, start + parameter.size)
            arrays[parameter.name] = part.reshape(parameter.shape)
            start += parameter.size
        return arrays

    def decay_mask(self) -> NumpyArray:
        """1 where weight decay acts, 0 elsewhere."""
        parts = [
            np.full(p.size, len(p.shape) > 1 if p.is_decayed is None else p.is_decayed, np.float32)
            for p in self.parameters
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)


Apply = Callable[[Array, Array, Carry, Step], tuple[Carry, Array]]


@dataclass(frozen=True)
class Layer:
    """One unit of training, transport and ownership: a flat vector and a pure function of it.

    A block (residual, recurrent, attention) is one layer; tied parameters live in one layer.

    Args:
        name: Unique in its model.
        layout: What the flat parameter vector holds.
        apply: (flat, state, carry, step) -> (carry, observed). `observed` has the shape of `state`
            and holds what the batch showed; the runtime averages it over the micro-batches in
            their order and moves the state towards it, so that the result does not depend on
            which device saw which micro-batch.
        state: What the state vector holds, for example running means; most layers have none.
        state_momentum: Share of the old state kept at each step.
        is_divisible: Whether the gradients of its parameters and of its carry share no work worth
            saving, so that either may be computed without the other.
    """

    name: str
    layout: Layout
    apply: Apply
    state: Layout = Layout()
    state_momentum: float = 0.9
    is_divisible: bool = False

    def init(self, seeds: Sequence[int]) -> NumpyArray:
        """Fresh float32 parameters, a function of the seeds alone."""
        return self.layout.init(seeds)

    def init_state(self) -> NumpyArray:
        """Fresh float32 state."""
        return self.state.init(())


LayerList = tuple[Layer, ...]
"""A model: layers in order; the last one holds all heads and gives {head: float32[batch, width]}"""


def stateless(
    name: str,
    layout: Layout,
    function: Callable[[Mapping[str, Array], Carry, Step], Carry],
    *,
    is_divisible: bool = False,
) -> Layer:
    """A layer without state, written over named arrays instead of the flat vector."""

    def apply(flat: Array, state: Array, carry: Carry, step: Step) -> tuple[Carry, Array]:
        return function(layout.unpack(flat), carry, step), state

    return Layer(name, layout, apply, is_divisible=is_divisible)
