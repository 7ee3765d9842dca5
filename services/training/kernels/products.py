"""Products of matrices by the compiled kernel, for training on a CPU."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.kernels.library import registered

LEAST_WORK = 1 << 24
"""Multiplications below which laying the matrices out anew costs what it saves."""

LEAST_SIDE = 128
"""Of a weight; columns that are left over from whole panels cost as much as a panel."""


def multiplies(x: jax.Array, weight: jax.Array) -> bool:
    """Whether the kernel is there and made for these: float32 matrices, and not small ones.

    Never where the number of rows is left open, as in a program to be exported: it runs anywhere.

    Args:
        x: [row, depth].
        weight: [depth, column].
    """
    return (
        isinstance(x.shape[0], int)
        and x.dtype == weight.dtype == jnp.float32
        and x.shape[0] * weight.size >= LEAST_WORK
        and min(weight.shape) >= LEAST_SIDE
        and jax.default_backend() == "cpu"
        and registered()
    )


def multiply(
    a: jax.Array, b: jax.Array, *, a_is_turned: bool = False, b_is_turned: bool = False
) -> jax.Array:
    """`a @ b`, each in its place transposed where it is `turned`, without a transposed copy.

    Equal to `@` up to rounding. Its sums have a fixed order, whatever the number of threads.

    Args:
        a: [row, depth], float32; turned [depth, row].
        b: [depth, column], float32; turned [column, depth].

    Returns:
        [row, column].
    """
    shape = (a.shape[1 if a_is_turned else 0], b.shape[0 if b_is_turned else 1])
    struct: Any = jax.ShapeDtypeStruct
    call: Any = jax.ffi.ffi_call("oriel_multiply", struct(shape, jnp.float32))
    product: jax.Array = call(
        a, b, a_is_turned=np.bool_(a_is_turned), b_is_turned=np.bool_(b_is_turned)
    )
    return product
