"""Convolution, bias, ReLU and pooling by the compiled kernel, for training on a CPU."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.kernels.library import registered

KERNEL = 5
LANES = 16
"""Images that the kernel computes together."""


def fits(x: jax.Array, weight: jax.Array) -> bool:
    """Whether the kernel is there and made for these: a 5x5 kernel, float32, batches of 16.

    Args:
        x: [channel, height, width, batch].
        weight: [out, channel, k, k].
    """
    return (
        x.dtype == weight.dtype == jnp.float32
        and weight.shape[-1] == KERNEL
        and x.shape[-1] % LANES == 0
        and jax.default_backend() == "cpu"
        and registered()
    )


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def convolve_and_pool(x: jax.Array, weight: jax.Array, bias: jax.Array, padding: int) -> jax.Array:
    """Stride-1 convolution, bias, ReLU and 2x2 max-pooling of channel-major images.

    Equal up to rounding to the form in `services.training.models.convolution`, ties included. Its
    sums have a fixed order, whatever the number of threads.

    Args:
        x: [channel, height, width, batch], float32; height and width even, batch in sixteens.
        weight: [out, channel, 5, 5].
        bias: [out].
        padding: Zeros on every side.
    """
    return _forward(x, weight, bias, padding)[0]


def _forward(
    x: jax.Array, weight: jax.Array, bias: jax.Array, padding: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array, jax.Array]]:
    rows, columns = ((size + 2 * padding - KERNEL + 1) // 2 for size in x.shape[1:3])
    shape = (weight.shape[0], rows, columns, x.shape[-1])
    call = _call("oriel_convolve_and_pool", (_result(shape), _result(shape, jnp.int8)))
    y, winner = call(x, weight, bias, padding=np.int64(padding))
    return y, (x, weight, winner)


def _gradient(
    padding: int, kept: tuple[jax.Array, jax.Array, jax.Array], d_y: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    x, weight, winner = kept
    # Two calls, so that the compiler can drop the first where nobody asks for the images' gradient.
    images = _call("oriel_convolve_and_pool_images", _result(x.shape))
    weights = _call(
        "oriel_convolve_and_pool_weights", (_result(weight.shape), _result(weight.shape[:1]))
    )
    d_weight, d_bias = weights(d_y, winner, x, padding=np.int64(padding))
    return images(d_y, winner, weight, padding=np.int64(padding)), d_weight, d_bias


def _call(name: str, results: Any) -> Any:
    return jax.ffi.ffi_call(name, results)


def _result(shape: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
    struct: Any = jax.ShapeDtypeStruct
    return struct(shape, dtype)


convolve_and_pool.defvjp(_forward, _gradient)
