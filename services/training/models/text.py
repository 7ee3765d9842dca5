"""Embedding and LSTM over the words of a text."""

from dataclasses import dataclass

import jax.numpy as jnp

from services.training.models.heads import linear_heads
from services.training.models.layer import Array, Carry, HeadSpec, InputSpec, LayerList
from services.training.models.recurrent import LstmConfig
from services.training.models.registry import Example, register
from services.training.models.sequence import last_of_each, sequence


@register("text_lstm")
@dataclass(frozen=True)
class TextLstmConfig:
    """A word's row of numbers, an LSTM over them, and all of what it said, pooled.

    Beside the last step the heads see the mean and the highest of all steps: a single word such as
    "returned" decides, wherever in the text it stands.

    Args:
        width: Numbers in a word's row and in the hidden row.
        layers: Recurrent layers.
        dropout: Share of values dropped before each recurrent layer in training.
    """

    width: int = 32
    layers: int = 1
    dropout: float = 0.3

    def build(self, inputs: InputSpec, heads: tuple[HeadSpec, ...]) -> LayerList:
        """Reading of "tokens", recurrent layers, heads."""
        inputs["tokens"]
        recurrent = LstmConfig(width=self.width, layers=self.layers, dropout=self.dropout)
        below = recurrent.build(inputs, heads)[:-1]
        return (*below, linear_heads(3 * self.width, heads, _pooled, scale=0.1))

    @classmethod
    def example(cls) -> Example:
        """A narrow layer over six words."""
        return Example(cls(width=12, dropout=0.1), sequence(6, vocabulary=7))


def _pooled(carry: Carry) -> Array:
    hidden, mask = carry["hidden"], carry["mask"]
    has_word = mask.T[:, :, None]
    count = jnp.maximum(mask.sum(1), 1)[:, None].astype(hidden.dtype)
    mean = jnp.where(has_word, hidden, 0.0).sum(0) / count
    highest = jnp.where(has_word, hidden, -1.0).max(0)
    return jnp.concatenate([last_of_each(hidden, mask), mean, highest], axis=1)
