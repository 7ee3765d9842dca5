"""Collectives over the mesh's one axis, for use inside `shard_map`."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.sharding import PartitionSpec

Array = jax.Array
AXIS = "data"
# JAX gives these no types.
_partition: Any = PartitionSpec
_lax: Any = jax.lax
EVERYWHERE: Any = _partition()
BY_DEVICE: Any = _partition(AXIS)


def fused_sum(tree: Any) -> Any:
    """The sum over all devices of every array in the tree, by one all-reduce."""
    flat, restore = ravel_pytree(tree)
    return restore(_lax.psum(flat, AXIS))


def push(vector: Array) -> Array:
    """My share of the sum of the devices' vectors, by one reduce-scatter."""
    share: Array = _lax.psum_scatter(_even(vector), AXIS, tiled=True)
    return share


def pull(share: Array, size: int) -> Array:
    """The whole vector from all shares, by one all-gather."""
    whole: Array = _lax.all_gather(share, AXIS, tiled=True)
    return whole[:size]


def share_of(vector: Array) -> Array:
    """My share of a vector that every device has whole."""
    width = share_size(vector.size, jax.lax.axis_size(AXIS))
    return jax.lax.dynamic_slice_in_dim(_even(vector), jax.lax.axis_index(AXIS) * width, width)


def share_size(size: int, devices: int) -> int:
    """Numbers a device owns of a vector of `size`; the last shares are filled up with zeros.

    >>> [share_size(size, 4) for size in (0, 1, 8, 9)]
    [0, 1, 2, 3]
    """
    return -(-size // devices)


def share_norm(share: Array) -> Array:
    """Norm of the whole vector, of which each device has a share."""
    return jnp.sqrt(_lax.psum(jnp.sum(jnp.square(share)), AXIS))


def after(value: Array, earlier: Array | None) -> Array:
    """`value`, but not before `earlier` is there: keeps the compiler from merging collectives."""
    if earlier is None:
        return value
    late: Array = _lax.optimization_barrier((value, earlier))[0]
    return late


def _even(vector: Array) -> Array:
    """Filled up with zeros to equal shares."""
    devices = jax.lax.axis_size(AXIS)
    return jnp.pad(vector, (0, share_size(vector.size, devices) * devices - vector.size))
