"""Multi-layer network for tabular rows: residual blocks beside a linear skip."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Literal

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
from services.training.models.parts import ACTIVATIONS, dropout, layer_norm, linear
from services.training.models.registry import Example, register


@register("mlp")
@dataclass(frozen=True)
class MlpConfig:
    """Residual blocks over "features", and a linear path from the features to every head.

    The deep path starts at zero, so training starts from, and can always fall back on, plain
    (logistic) regression: the deep part only has to earn what it adds.

    Args:
        width: Numbers in the hidden row.
        blocks: Residual blocks.
        expansion: Inner width of a block, times `width`.
        dropout: Share of inner values dropped in training.
        activation: Bend inside a block.
    """

    width: int = 64
    blocks: int = 2
    expansion: int = 2
    dropout: float = 0.1
    activation: Literal["gelu", "relu", "silu", "tanh"] = "gelu"

    def build(self, inputs: InputSpec, heads: tuple[HeadSpec, ...]) -> LayerList:
        """Stem, blocks, heads."""
        features = inputs["features"].shape[0]
        blocks = deep_blocks(self)
        return (stem(features, self.width), *blocks, _heads(features, self.width, heads))

    @classmethod
    def example(cls) -> Example:
        """Two narrow blocks over six features."""
        return Example(cls(width=16, blocks=2), table(6))


def stem(features: int, width: int) -> Layer:
    """A linear map of "features" to the first "hidden" row."""
    layout = Layout(
        (
            Parameter("weight", (features, width), scale=sqrt(1.0 / features)),
            Parameter("bias", (width,)),
        )
    )

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:  # noqa: ARG001
        return carry | {"hidden": linear(carry["features"], p["weight"], p["bias"])}

    return stateless("stem", layout, apply)


def deep_blocks(config: MlpConfig) -> LayerList:
    """Residual blocks over "hidden"."""
    return tuple(_block(f"block{number}", config) for number in range(config.blocks))


def _block(name: str, config: MlpConfig) -> Layer:
    width, inner = config.width, config.width * config.expansion
    layout = Layout(
        (
            Parameter("norm_scale", (width,), fill=1.0),
            Parameter("norm_shift", (width,)),
            Parameter("up_weight", (width, inner), scale=sqrt(2.0 / width)),
            Parameter("up_bias", (inner,)),
            Parameter("down_weight", (inner, width), scale=sqrt(1.0 / inner)),
            Parameter("down_bias", (width,)),
        )
    )
    bend = ACTIVATIONS[config.activation]

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:
        hidden = carry["hidden"]
        inside = layer_norm(hidden, p["norm_scale"], p["norm_shift"])
        inside = bend(linear(inside, p["up_weight"], p["up_bias"]))
        inside = dropout(inside, config.dropout, step)
        return carry | {"hidden": hidden + linear(inside, p["down_weight"], p["down_bias"])}

    return stateless(name, layout, apply)


def _heads(features: int, width: int, heads: tuple[HeadSpec, ...]) -> Layer:
    norm = (
        Parameter("norm_scale", (width,), fill=1.0),
        Parameter("norm_shift", (width,)),
    )
    own = tuple(
        parameter
        for head in heads
        for parameter in (
            Parameter(f"{head.name}/deep", (width, head.width)),
            Parameter(f"{head.name}/linear", (features, head.width)),
            Parameter(f"{head.name}/bias", (head.width,)),
        )
    )

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:  # noqa: ARG001
        deep = layer_norm(carry["hidden"], p["norm_scale"], p["norm_shift"])
        return {
            head.name: deep @ p[f"{head.name}/deep"]
            + linear(carry["features"], p[f"{head.name}/linear"], p[f"{head.name}/bias"])
            for head in heads
        }

    return stateless("heads", Layout(norm + own), apply)
