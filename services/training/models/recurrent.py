"""LSTM and GRU over event sequences."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt

from services.training.models.heads import sequence_heads
from services.training.models.layer import (
    Array,
    Carry,
    HeadSpec,
    InputSpec,
    Layer,
    LayerList,
    Layout,
    Parameter,
    Step,
    stateless,
)
from services.training.models.parts import dropout
from services.training.models.recurrence import gru, lstm
from services.training.models.registry import Example, register
from services.training.models.sequence import last_of_each, reading, sequence

Recurrence = Callable[[Array, Array, Array, Array], Array]
"""(steps, kernel, recurrent, bias) -> hidden rows of all steps."""


@register("lstm")
@dataclass(frozen=True)
class LstmConfig:
    """Recurrent layers over "tokens" or "steps"; the last step of a row speaks for it.

    Args:
        width: Numbers in the hidden row.
        layers: Recurrent layers.
        dropout: Share of values dropped before each recurrent layer in training.
    """

    width: int = 64
    layers: int = 1
    dropout: float = 0.1

    def build(self, inputs: InputSpec, heads: tuple[HeadSpec, ...]) -> LayerList:
        """Reading, recurrent layers, heads."""
        return _build(self, lstm, 4, inputs, heads)

    @classmethod
    def example(cls) -> Example:
        """Two narrow layers over six steps of tokens and numbers."""
        return Example(cls(width=8, layers=2), sequence(6, vocabulary=7, width=2))


@register("gru")
@dataclass(frozen=True)
class GruConfig:
    """Gated recurrent layers, three quarters the size of an LSTM's; else as "lstm".

    Args:
        width: Numbers in the hidden row.
        layers: Recurrent layers.
        dropout: Share of values dropped before each recurrent layer in training.
    """

    width: int = 64
    layers: int = 1
    dropout: float = 0.1

    def build(self, inputs: InputSpec, heads: tuple[HeadSpec, ...]) -> LayerList:
        """Reading, recurrent layers, heads."""
        return _build(self, gru, 3, inputs, heads)

    @classmethod
    def example(cls) -> Example:
        """One narrow layer over five steps of numbers beside features."""
        return Example(cls(width=8), sequence(5, width=3, features=4))


def _build(
    config: LstmConfig | GruConfig,
    recurrence: Recurrence,
    gates: int,
    inputs: InputSpec,
    heads: tuple[HeadSpec, ...],
) -> LayerList:
    return (
        reading(inputs, config.width, has_positions=False),
        *(_recurrent(number, config, recurrence, gates) for number in range(config.layers)),
        sequence_heads(inputs, config.width, heads, _last),
    )


def _last(carry: Carry) -> Array:
    return last_of_each(carry["hidden"], carry["mask"])


def _recurrent(
    number: int, config: LstmConfig | GruConfig, recurrence: Recurrence, gates: int
) -> Layer:
    width = config.width
    scale = sqrt(1.0 / width)
    layout = Layout(
        (
            Parameter("kernel", (width, gates * width), scale=scale),
            Parameter("recurrent", (width, gates * width), scale=scale),
            Parameter("bias", (gates * width,)),
        )
    )

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:
        hidden = dropout(carry["hidden"], config.dropout, step)
        # Steps first, from the first recurrent layer on: each step is then one block of memory.
        by_step = hidden.transpose(1, 0, 2) if number == 0 else hidden
        return carry | {"hidden": recurrence(by_step, p["kernel"], p["recurrent"], p["bias"])}

    return stateless(f"recurrent{number}", layout, apply)
