"""Random bits from integer hashing: the same on every device, quick to run and to compile.

JAX's default generator takes longer to compile than the rest of a small model and, on a CPU,
longer to run than the layer it disturbs. Dropout needs no more than well mixed bits.
"""

import jax
import jax.numpy as jnp

Array = jax.Array
Key = Array
"""Two unsigned 32-bit words."""


def root_key(seed: Array) -> Key:
    """The key of a seed, uint32[]."""
    return fold(jnp.zeros((2,), jnp.uint32), seed)


def fold(key: Key, number: Array | int) -> Key:
    """The key derived for a number: a step, a micro-batch or a layer."""
    word = _mix(jnp.asarray(number, jnp.uint32) + jnp.uint32(0x9E3779B9))
    low = _mix(key[0] ^ word)
    return jnp.stack([low, _mix(key[1] + low)])


def keep_mask(key: Key, shape: tuple[int, ...], drop_rate: float) -> Array:
    """True with probability 1 - drop_rate, independently by position.

    >>> mask = keep_mask(root_key(jnp.uint32(1)), (1000, 10), 0.25)
    >>> 0.74 < float(mask.mean()) < 0.76
    True
    """
    position = jnp.zeros((), jnp.uint32)
    for axis, size in enumerate(shape):
        along = jnp.arange(size, dtype=jnp.uint32)
        position = _mix(position[..., None] * jnp.uint32(31)) ^ along.reshape((1,) * axis + (-1,))
    bits = _mix(_mix(position + key[0]) ^ key[1])
    kept: Array = bits >= jnp.uint32(round(drop_rate * 2**32))
    return kept


def _mix(x: Array) -> Array:
    """Every bit of `x` decides half of the result's bits (Wellons, "lowbias32")."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)
