"""Optimizers that act on one layer's flat vector, so that any owner of a layer can update it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from services.training.models import Layer, LayerList

Array = jax.Array
OptimizerState = dict[str, Any]
"""Optax state by layer name."""


@dataclass(frozen=True)
class OptimizerConfig:
    """How gradients become updates.

    Args:
        kind: "sgd" is SGD with momentum; "lamb" scales each layer's step to its size.
        learning_rate: Highest rate.
        schedule: "constant", or "cosine" from the highest rate down to zero over the run.
        warmup_share: Share of the run's steps in which the rate climbs from zero.
        momentum: Of SGD; also AdamW's and LAMB's first decay.
        second_decay: AdamW's and LAMB's decay of squared gradients.
        weight_decay: Pull of matrices towards zero (decoupled, except with SGD).
        clip_norm: Longest gradient of one layer; None lets every length through.
    """

    kind: Literal["sgd", "adamw", "lamb"] = "adamw"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_share: float = 0.05
    momentum: float = 0.9
    second_decay: float = 0.999
    weight_decay: float = 1e-4
    clip_norm: float | None = 1.0


def learning_rate(config: OptimizerConfig, total_steps: int) -> optax.Schedule:
    """The rate by step."""
    warmup = int(config.warmup_share * total_steps)
    top = config.learning_rate
    rest: optax.Schedule = (
        optax.cosine_decay_schedule(top, max(total_steps - warmup, 1))
        if config.schedule == "cosine"
        else optax.constant_schedule(top)
    )
    if not warmup:
        return rest
    return optax.join_schedules([optax.linear_schedule(0.0, top, warmup), rest], [warmup])


def rate_steps(config: OptimizerConfig, total_steps: int) -> int:
    """`total_steps` where the rate depends on it, else 0: fits of any length are then alike.

    >>> rate_steps(OptimizerConfig(schedule="constant", warmup_share=0.0), 700)
    0
    """
    is_steady = config.schedule == "constant" and not config.warmup_share
    return 0 if is_steady else total_steps


def layer_optimizer(
    config: OptimizerConfig, layer: Layer, total_steps: int
) -> optax.GradientTransformation:
    """The transformation for that layer's vector; the gradient is clipped by the layer's norm."""
    return vector_optimizer(config, jnp.asarray(layer.layout.decay_mask()), total_steps)


def acts_by_element(config: OptimizerConfig) -> bool:
    """Whether each number is updated alone, so that parts of a layer may be updated apart."""
    return config.clip_norm is None and config.kind != "lamb"


def vector_norm(vector: Array) -> Array:
    """Euclidean length."""
    return jnp.sqrt(jnp.sum(jnp.square(vector)))


def vector_optimizer(
    config: OptimizerConfig,
    is_decayed: Array,
    total_steps: int,
    norm: Callable[[Array], Array] = vector_norm,
) -> optax.GradientTransformation:
    """The transformation for a vector whose numbers are decayed where `is_decayed` is 1.

    The vector is a layer's, or a part of it where the config `acts_by_element` or `norm` gives
    the whole layer's norm from a part.
    """
    clip = optax.identity() if config.clip_norm is None else _clip(config.clip_norm, norm)
    decay = _masked_decay(config.weight_decay, is_decayed)
    rate = optax.scale_by_learning_rate(learning_rate(config, total_steps))
    if config.kind == "sgd":
        return optax.chain(clip, decay, optax.trace(config.momentum), rate)
    adam = optax.scale_by_adam(config.momentum, config.second_decay)
    trust = _trust_ratio(norm) if config.kind == "lamb" else optax.identity()
    return optax.chain(clip, adam, decay, trust, rate)


def optimizers(
    config: OptimizerConfig, layers: LayerList, total_steps: int
) -> dict[str, optax.GradientTransformation]:
    """One transformation a layer, by layer name."""
    return {layer.name: layer_optimizer(config, layer, total_steps) for layer in layers}


def _clip(longest: float, norm: Callable[[Array], Array]) -> optax.GradientTransformation:
    """Vectors longer than `longest` are shortened to it."""

    def clip(vector: Array) -> Array:
        length = norm(vector)
        return jnp.where(length < longest, vector, vector / length * longest)

    return optax.stateless(lambda updates, _: clip(updates))


def _trust_ratio(norm: Callable[[Array], Array]) -> optax.GradientTransformation:
    """LAMB: a step in the ratio of the parameters' length to its own."""

    def scale(updates: Array, params: Array) -> Array:
        lengths = norm(params), norm(updates)
        has_ratio = (lengths[0] > 0) & (lengths[1] > 0)
        return updates * jnp.where(has_ratio, lengths[0] / lengths[1], 1.0)

    return optax.stateless(scale)


def _masked_decay(rate: float, mask: Array) -> optax.GradientTransformation:
    if rate == 0.0:
        return optax.identity()

    def update(updates: Array, state: Any, params: Array | None = None) -> tuple[Array, Any]:
        if params is None:
            raise ValueError("weight decay needs the parameters")
        return updates + rate * mask.astype(params.dtype) * params, state

    return optax.GradientTransformation(lambda _: optax.EmptyState(), update)
