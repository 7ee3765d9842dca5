"""Small pure functions that layers are written with."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from services.training import kernels
from services.training.models.layer import Array, Step
from services.training.models.noise import keep_mask
from services.training.models.stored import settled

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": jax.nn.gelu,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
}


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


@jax.custom_vjp
def product(x: Array, weight: Array) -> Array:
    """`x @ weight` of two matrices, whose gradient needs no transposed copy of what comes back.

    The derivative that JAX writes by itself makes XLA compute the gradient of the result twice on
    a CPU, once transposed. Where it is differentiated, and only there, the compiled kernel is used.
    """
    return x @ weight


def _product(x: Array, weight: Array) -> tuple[Array, tuple[Array, Array]]:
    y = kernels.multiply(x, weight) if kernels.multiplies(x, weight) else x @ weight
    return y, (x, weight)


def _product_gradient(kept: tuple[Array, Array], d_y: Array) -> tuple[Array, Array]:
    x, weight = kept
    d_y = settled(d_y)
    if kernels.multiplies(x, weight):
        d_x = kernels.multiply(d_y, weight, b_is_turned=True)
        return d_x, kernels.multiply(x, d_y, a_is_turned=True)
    return d_y @ weight.T, x.T @ d_y


product.defvjp(_product, _product_gradient)


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """`x @ weight + bias` over the last axis."""
    y = product(x.reshape(-1, x.shape[-1]), weight).reshape(*x.shape[:-1], weight.shape[1])
    return y if bias is None else y + bias.reshape(*(1,) * (x.ndim - 1), -1)


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
