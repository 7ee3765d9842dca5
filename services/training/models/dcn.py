"""Deep and cross network, second version (Wang et al., 2021), for tabular rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import jax.numpy as jnp

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
    table,
)
from services.training.models.mlp import MlpConfig, deep_blocks, stem
from services.training.models.parts import dropout, layer_norm, linear
from services.training.models.registry import Example, register


@register("dcn")
@dataclass(frozen=True)
class DcnConfig:
    """Cross layers, which multiply "features" with one another, beside residual blocks.

    After so many cross layers the heads see products of up to one more feature than that.

    Args:
        crosses: Cross layers.
        width: Numbers in the deep part's hidden row.
        blocks: Residual blocks of the deep part.
        dropout: Share of values dropped in training, in blocks and in what a cross layer adds.
    """

    crosses: int = 2
    width: int = 32
    blocks: int = 1
    dropout: float = 0.3

    def build(self, inputs: InputSpec, heads: tuple[HeadSpec, ...]) -> LayerList:
        """Stem, cross layers, blocks, heads."""
        features = inputs["features"].shape[0]
        deep = MlpConfig(width=self.width, blocks=self.blocks, dropout=self.dropout)
        return (
            stem(features, self.width),
            *(_cross(number, features, self.dropout) for number in range(self.crosses)),
            *deep_blocks(deep),
            linear_heads(features + self.width, heads, _both, scale=0.0),
        )

    @classmethod
    def example(cls) -> Example:
        """Two crosses of five features beside a narrow block."""
        return Example(cls(width=8), table(5))


def _cross(number: int, features: int, rate: float) -> Layer:
    layout = Layout(
        (
            Parameter("weight", (features, features), scale=0.5 * sqrt(1.0 / features)),
            Parameter("bias", (features,)),
        )
    )

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:
        crossed = carry["features"] if number == 0 else carry["crossed"]
        added = carry["features"] * linear(crossed, p["weight"], p["bias"])
        return carry | {"crossed": crossed + dropout(added, rate, step)}

    return stateless(f"cross{number}", layout, apply)


def _both(carry: Carry) -> Array:
    crossed = carry.get("crossed", carry["features"])
    ones, zeros = jnp.ones(carry["hidden"].shape[1:], crossed.dtype), jnp.zeros(1, crossed.dtype)
    return jnp.concatenate([crossed, layer_norm(carry["hidden"], ones, zeros)], axis=1)
