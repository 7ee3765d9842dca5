"""Small pure functions that layers are written with."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from services.training.models.layer import Array, Step
from services.training.models.noise import keep_mask

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": jax.nn.gelu,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
}


def settled(x: Array) -> Array:
    """`x` computed once where a CPU trains.

    XLA fuses what makes a value into everything that reads it; a sum over rows reads its whole
    input more than once, and on a CPU doing all of that again costs more than storing it.
    """
    if jax.default_backend() != "cpu":
        return x
    stored: Array = jax.lax.optimization_barrier(x)  # type: ignore[no-untyped-call]
    return stored


def layer_norm(x: Array, scale: Array, shift: Array, epsilon: float = 1e-5) -> Array:
    """Each row's last axis to mean 0 and variance 1, then `scale` and `shift`.

    The moments are taken in at least float32, whatever the compute precision.
    """
    x = settled(x)
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = wide.mean(-1, keepdims=True)
    variance = jnp.square(wide - mean).mean(-1, keepdims=True)
    normal = ((wide - mean) * jax.lax.rsqrt(variance + epsilon)).astype(x.dtype)
    ones = (1,) * (x.ndim - 1)
    return settled(normal * scale.reshape(*ones, -1) + shift.reshape(*ones, -1))


def linear(x: Array, weight: Array, bias: Array) -> Array:
    """`x @ weight + bias` over the last axis."""
    return x @ weight + bias.reshape(*(1,) * (x.ndim - 1), -1)


def dropout(x: Array, rate: float, step: Step) -> Array:
    """Zero a share `rate` of the values in training and scale the rest up; else `x` itself."""
    if not step.is_training or rate == 0.0 or step.key is None:
        return x
    keep = keep_mask(step.key, x.shape, rate)
    return jnp.where(keep, x / (1.0 - rate), jnp.zeros_like(x))


def centred(images: Array, dtype: jnp.dtype) -> Array:
    """Bytes of 0 to 255 as numbers from -1 to 1; floats are taken to be scaled already."""
    if jnp.issubdtype(images.dtype, jnp.integer):
        return images.astype(dtype) / 127.5 - 1.0
    return images
