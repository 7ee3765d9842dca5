"""Transformer encoder (Vaswani et al., 2017; normalisation first) over event sequences."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Literal

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
from services.training.models.noise import fold
from services.training.models.parts import ACTIVATIONS, dropout, layer_norm, linear
from services.training.models.registry import Example, register
from services.training.models.sequence import mean_row, reading, sequence
from shared.errors import InvalidArgumentError


@register("transformer")
@dataclass(frozen=True)
class TransformerConfig:
    """Attention blocks over "tokens" or "steps"; the mean of a row's steps speaks for it.

    Args:
        width: Numbers in the hidden row.
        blocks: Attention blocks.
        attention_heads: Parts of the row that attend separately; divides `width`.
        expansion: Inner width of the feed-forward part, times `width`.
        dropout: Share of what each part adds that is dropped in training.
        activation: Bend of the feed-forward part.
    """

    width: int = 64
    blocks: int = 2
    attention_heads: int = 4
    expansion: int = 4
    dropout: float = 0.1
    activation: Literal["gelu", "relu", "silu", "tanh"] = "gelu"

    def build(self, inputs: InputSpec, heads: tuple[HeadSpec, ...]) -> LayerList:
        """Reading, blocks, heads.

        Raises:
            InvalidArgumentError: The row does not divide into the attention heads.
        """
        if self.width % self.attention_heads:
            raise InvalidArgumentError(
                f"width {self.width} is no multiple of attention_heads {self.attention_heads}",
                reason="MODEL_VALUE_INVALID",
                width=self.width,
                attention_heads=self.attention_heads,
            )
        blocks = tuple(_block(f"block{number}", self) for number in range(self.blocks))
        return (
            reading(inputs, self.width, has_positions=True),
            *blocks,
            sequence_heads(inputs, self.width, heads, mean_row, has_norm=True),
        )

    @classmethod
    def example(cls) -> Example:
        """Two narrow blocks over six steps of tokens and numbers."""
        config = cls(width=6, blocks=2, attention_heads=3, expansion=2)
        return Example(config, sequence(6, vocabulary=7, width=2))


def _block(name: str, config: TransformerConfig) -> Layer:
    width, inner = config.width, config.width * config.expansion
    layout = Layout(
        (
            Parameter("attention_scale", (width,), fill=1.0),
            Parameter("attention_shift", (width,)),
            Parameter("attention_in", (width, 3 * width), scale=sqrt(1.0 / width)),
            Parameter("attention_in_bias", (3 * width,)),
            Parameter("attention_out", (width, width), scale=sqrt(0.5 / width)),
            Parameter("attention_out_bias", (width,)),
            Parameter("forward_scale", (width,), fill=1.0),
            Parameter("forward_shift", (width,)),
            Parameter("up_weight", (width, inner), scale=sqrt(2.0 / width)),
            Parameter("up_bias", (inner,)),
            Parameter("down_weight", (inner, width), scale=sqrt(0.5 / inner)),
            Parameter("down_bias", (width,)),
        )
    )
    bend = ACTIVATIONS[config.activation]

    def apply(p: Mapping[str, Array], carry: Carry, step: Step) -> Carry:
        hidden, mask = carry["hidden"], carry["mask"]
        first, second = (
            Step(step.is_training, None if step.key is None else fold(step.key, part))
            for part in (0, 1)
        )
        normal = layer_norm(hidden, p["attention_scale"], p["attention_shift"])
        mixed = linear(normal, p["attention_in"], p["attention_in_bias"])
        mixed = attend(mixed, mask, config.attention_heads)
        mixed = linear(mixed, p["attention_out"], p["attention_out_bias"])
        hidden = hidden + dropout(mixed, config.dropout, first)
        normal = layer_norm(hidden, p["forward_scale"], p["forward_shift"])
        bent = bend(linear(normal, p["up_weight"], p["up_bias"]))
        bent = linear(bent, p["down_weight"], p["down_bias"])
        return carry | {"hidden": hidden + dropout(bent, config.dropout, second)}

    return stateless(name, layout, apply)


def attend(mixed: Array, mask: Array, heads: int) -> Array:
    """Scaled dot-product attention in which every step sees the steps that its row has.

    Args:
        mixed: [batch, step, 3 * width]: queries, keys, values.
        mask: [batch, step], true where the row has a step.
    """
    batch, steps, size = mixed.shape
    width = size // 3
    parts = mixed.reshape(batch, steps, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
    query, key, value = parts[0], parts[1], parts[2]
    scores = jnp.einsum("bhqd,bhkd->bhqk", query, key) * (width // heads) ** -0.5
    scores = jnp.where(mask[:, None, None, :], scores, jnp.asarray(-1e9, scores.dtype))
    shares = jax.nn.softmax(scores.astype(jnp.promote_types(scores.dtype, jnp.float32)), axis=-1)
    seen = jnp.einsum("bhqk,bhkd->bhqd", shares.astype(value.dtype), value)
    return seen.transpose(0, 2, 1, 3).reshape(batch, steps, width)
