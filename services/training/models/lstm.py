"""LSTM over event sequences."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

from services.training.models.heads import linear_heads
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
from services.training.models.recurrence import lstm
from services.training.models.registry import Example, register
from services.training.models.sequence import last_of_each, reading, sequence


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
        recurrent = tuple(_recurrent(number, self) for number in range(self.layers))
        scale = sqrt(1.0 / self.width)
        return (
            reading(inputs, self.width, has_positions=False),
            *recurrent,
            linear_heads(self.width, heads, _last, scale=scale),
        )

    @classmethod
    def example(cls) -> Example:
        """Two narrow layers over ten steps of tokens and numbers."""
        return Example(cls(width=12, layers=2), sequence(10, vocabulary=7, width=2))


def _last(carry: Carry) -> Array:
    return last_of_each(carry["hidden"], carry["mask"])


def _recurrent(number: int, config: LstmConfig) -> Layer:
    width = config.width
    scale = sqrt(1.0 / width)
    layout = Layout(
        (
            Parameter("kernel", (width, 4 * width), scale=scale),
            Parameter("recurrent", (width, 4 * width), scale=scale),
            Parameter("bias", (4 * width,)),
        )
    )

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:
        hidden = dropout(carry["hidden"], config.dropout, step)
        # Steps first, from the first recurrent layer on: each step is then one block of memory.
        by_step = hidden.transpose(1, 0, 2) if number == 0 else hidden
        out = lstm(by_step, p["kernel"], p["recurrent"], p["bias"])
        return {"hidden": out, "mask": carry["mask"]}

    return stateless(f"recurrent{number}", layout, apply)
