"""One-dimensional convolutions over event sequences, each wider apart than the one before."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import jax
import jax.numpy as jnp

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
from services.training.models.parts import dropout, layer_norm, linear
from services.training.models.registry import Example, register
from services.training.models.sequence import mean_row, reading, sequence


@register("cnn")
@dataclass(frozen=True)
class CnnConfig:
    """Residual convolutions over "tokens" or "steps"; the mean of a row's steps speaks for it.

    A step sees itself and the steps before and after it, 1 apart in the first block, 2 in the
    second, 4 in the third: after three blocks it has seen seven steps to either side.

    Args:
        width: Numbers in the hidden row.
        blocks: Convolutions.
        dropout: Share of what each block adds that is dropped in training.
    """

    width: int = 64
    blocks: int = 3
    dropout: float = 0.1

    def build(self, inputs: InputSpec, heads: tuple[HeadSpec, ...]) -> LayerList:
        """Reading, blocks, heads."""
        return (
            reading(inputs, self.width, has_positions=False),
            *(_block(number, self) for number in range(self.blocks)),
            sequence_heads(inputs, self.width, heads, mean_row, has_norm=True),
        )

    @classmethod
    def example(cls) -> Example:
        """Two narrow blocks over six steps of tokens and numbers."""
        return Example(cls(width=8, blocks=2), sequence(6, vocabulary=7, width=2))


def _block(number: int, config: CnnConfig) -> Layer:
    width = config.width
    layout = Layout(
        (
            Parameter("norm_scale", (width,), fill=1.0),
            Parameter("norm_shift", (width,)),
            Parameter("kernel", (3 * width, width), scale=sqrt(2.0 / (3 * width))),
            Parameter("kernel_bias", (width,)),
            Parameter("out", (width, width), scale=sqrt(0.5 / width)),
            Parameter("out_bias", (width,)),
        )
    )

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:
        hidden, mask = carry["hidden"], carry["mask"]
        normal = layer_norm(hidden, p["norm_scale"], p["norm_shift"])
        seen = neighbours(normal * mask[:, :, None].astype(normal.dtype), 2**number)
        bent = jax.nn.gelu(linear(seen, p["kernel"], p["kernel_bias"]))
        added = linear(bent, p["out"], p["out_bias"])
        return carry | {"hidden": hidden + dropout(added, config.dropout, step)}

    return stateless(f"block{number}", layout, apply)


def neighbours(x: Array, apart: int) -> Array:
    """Each step beside those so far before and after it: [batch, step, width] to 3 * width.

    Zeros stand where there is no step, so that the convolution is one matrix product.
    """
    steps = x.shape[1]
    padded = jnp.pad(x, ((0, 0), (apart, apart), (0, 0)))
    return jnp.concatenate([padded[:, n * apart : n * apart + steps] for n in range(3)], axis=2)
