"""Autoencoder of tabular rows: a row is squeezed into a short code, and every head reads that."""

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
    table,
)
from services.training.models.mlp import MlpConfig, deep_blocks, stem
from services.training.models.parts import layer_norm, linear
from services.training.models.registry import Example, register


@register("autoencoder")
@dataclass(frozen=True)
class AutoencoderConfig:
    """Residual blocks that end in a code of a few numbers, the embedding of a row.

    Pre-training teaches the code to hold what a row, some of whose numbers are hidden, was
    (denoising autoencoder, Vincent et al., 2008); the answers are read from the code alone.

    Args:
        code: Numbers in the code.
        width: Numbers in the hidden row.
        blocks: Residual blocks.
        dropout: Share of inner values dropped in training.
    """

    code: int = 16
    width: int = 64
    blocks: int = 1
    dropout: float = 0.1

    def build(self, inputs: InputSpec, heads: tuple[HeadSpec, ...]) -> LayerList:
        """Stem, blocks, code, heads."""
        deep = MlpConfig(width=self.width, blocks=self.blocks, dropout=self.dropout)
        return (
            stem(inputs["features"].shape[0], self.width),
            *deep_blocks(deep),
            _code(self.width, self.code),
            linear_heads(self.code, heads, _read, scale=sqrt(1.0 / self.code)),
        )

    @classmethod
    def example(cls) -> Example:
        """Six features through a code of four."""
        return Example(cls(code=4, width=16), table(6))


def _code(width: int, size: int) -> Layer:
    layout = Layout(
        (
            Parameter("norm_scale", (width,), fill=1.0),
            Parameter("norm_shift", (width,)),
            Parameter("weight", (width, size), scale=sqrt(1.0 / width)),
            Parameter("bias", (size,)),
        )
    )

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:  # noqa: ARG001
        hidden = layer_norm(carry["hidden"], p["norm_scale"], p["norm_shift"])
        return {"code": linear(hidden, p["weight"], p["bias"])}

    return stateless("code", layout, apply)


def _read(carry: Carry) -> Array:
    return carry["code"]
