"""Convolution and pooling written as large matrix products where that is the faster form.

XLA's convolution and its gradient of max-pooling are slow on a CPU; a matrix product is not. On an
accelerator the plain convolution is the fast one. Both forms give the same numbers up to rounding.
"""

from collections.abc import Callable
from functools import partial, reduce
from math import prod

import jax
import jax.numpy as jnp

from services.training.models.layer import Array, Step
from services.training.models.parts import linear

Form = Callable[..., Array]

NOBODY = 4
"""In the place of a pooling window's winner, 0 to 3, where ReLU lets nothing through."""


def by_platform(step: Step, cpu: Form, other: Form) -> Form:
    """The form for the device that trains; an exported program keeps both and picks where it runs.

    Training picks while tracing, because a gradient through a choice carries both sides along.
    """
    if step.is_training:
        return cpu if jax.default_backend() == "cpu" else other
    return lambda *arrays: jax.lax.platform_dependent(*arrays, cpu=cpu, default=other)


def halve_by_max(slabs: list[Array]) -> Array:
    """Largest of equally shaped slabs, element by element: pooling without a window operation."""
    return reduce(jnp.maximum, slabs)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def convolve_and_pool(x: Array, weight: Array, bias: Array, padding: int) -> Array:
    """Stride-1 convolution, bias, ReLU and 2x2 max-pooling of channel-major images, in one product.

    The product computes the four outputs of each pooling window at once from the patch that they
    share, so a patch is gathered once and not four times, and pooling is the maximum of the four.
    Bias and ReLU keep the order of values and so follow the pooling. The gradient is our own:
    that of `jnp.maximum` shares out ties by comparing and adding whole slabs, which took a third
    of the step; here one byte for each window remembers who won (the first among equals).

    Args:
        x: [channel, height, width, batch]; height and width even.
        weight: [out, channel, k, k], k odd.
        bias: [out].
        padding: Zeros on every side.
    """
    return _convolve_and_pool(x, weight, bias, padding)[0]


def _convolve_and_pool(
    x: Array, weight: Array, bias: Array, padding: int
) -> tuple[Array, tuple[Array, Array, Array]]:
    patches = _patches(pad_sides(x, (1, 2), padding), weight.shape[-1] + 1)
    side, _, channels, rows, columns, batch = patches.shape
    out = weight.shape[0]
    tile = _tile(weight)
    product = tile @ patches.reshape(side * side * channels, rows * columns * batch)
    first, second, third, fourth = product.reshape(4, out, rows, columns, batch)
    upper, lower = jnp.maximum(first, second), jnp.maximum(third, fourth)
    y = jax.nn.relu(jnp.maximum(upper, lower) + bias[:, None, None, None])
    winner = jnp.where(
        lower > upper, jnp.where(fourth > third, 3, 2), jnp.where(second > first, 1, 0)
    )
    return y, (patches, weight, jnp.where(y > 0, winner, NOBODY).astype(jnp.int8))


def _convolve_and_pool_gradient(
    padding: int, kept: tuple[Array, Array, Array], d_y: Array
) -> tuple[Array, Array, Array]:
    patches, weight, winner = kept
    out, channels, k, _ = weight.shape
    side, columns = k + 1, prod(patches.shape[3:])
    places = jnp.arange(4, dtype=jnp.int8).reshape(4, 1, 1, 1, 1)
    d_product = jnp.where(winner[None] == places, d_y[None], 0).reshape(4 * out, columns)
    d_tile = d_product @ patches.reshape(side * side * channels, columns).T
    # What the first layer's data would get is dropped by the compiler: nobody asks for it.
    d_x = _patches_gradient((_tile(weight).T @ d_product).reshape(patches.shape))
    height, width = d_x.shape[1:3]
    return (
        d_x[:, padding : height - padding, padding : width - padding],
        _tile_gradient(d_tile, weight.shape),
        jnp.where(winner != NOBODY, d_y, 0).sum((1, 2, 3)),
    )


convolve_and_pool.defvjp(_convolve_and_pool, _convolve_and_pool_gradient)


def _patches(x: Array, side: int) -> Array:
    """Square patches, two apart: [side, side, channel, rows, columns, batch].

    Columns are picked before rows: two passes copy less than one for each place in the patch.
    """
    rows, columns = (size - side + 2 for size in x.shape[1:3])
    picked = jnp.stack([x[:, :, j : j + columns : 2] for j in range(side)])
    return jnp.stack([picked[:, :, i : i + rows : 2] for i in range(side)])


def _patches_gradient(d_patches: Array) -> Array:
    """What each pixel gets from all patches that hold it: [channel, height, width, batch]."""
    taps = d_patches.shape[0] // 2

    def phase(row: int, column: int) -> Array:
        shifted = [
            jnp.pad(
                d_patches[2 * i + row, 2 * j + column],
                ((0, 0), (i, taps - 1 - i), (j, taps - 1 - j), (0, 0)),
            )
            for i in range(taps)
            for j in range(taps)
        ]
        return reduce(jnp.add, shifted)

    phases = jnp.stack([jnp.stack([phase(row, j) for j in (0, 1)], 3) for row in (0, 1)], 2)
    channels, height, _, width, _, batch = phases.shape
    return phases.reshape(channels, 2 * height, 2 * width, batch)


def _tile(weight: Array) -> Array:
    """The kernel at its four places in a patch: [4 * out, side * side * channel]."""
    shifted = jnp.stack(
        [
            jnp.pad(weight, ((0, 0), (0, 0), (dy, 1 - dy), (dx, 1 - dx)))
            for dy in (0, 1)
            for dx in (0, 1)
        ]
    )
    return shifted.transpose(0, 1, 3, 4, 2).reshape(4 * weight.shape[0], -1)


def _tile_gradient(d_tile: Array, shape: tuple[int, ...]) -> Array:
    out, channels, k, _ = shape
    parts = d_tile.reshape(2, 2, out, k + 1, k + 1, channels)
    d_weight = reduce(
        jnp.add,
        [parts[dy, dx, :, dy : dy + k, dx : dx + k] for dy in (0, 1) for dx in (0, 1)],
    )
    return d_weight.transpose(0, 3, 1, 2)


def convolve_and_pool_plain(x: Array, weight: Array, bias: Array, padding: int) -> Array:
    """The same by the device's own convolution."""
    y = jax.lax.conv_general_dilated(
        x, weight, (1, 1), [(padding, padding)] * 2, dimension_numbers=("CHWN", "OIHW", "CHWN")
    )
    pooled = halve_by_max([y[:, i::2, j::2] for i in range(2) for j in range(2)])
    return jax.nn.relu(pooled + bias[:, None, None, None])


def convolve(x: Array, weight: Array, k: int, stride: int) -> Array:
    """Same-size convolution of [batch, height, width, channel] images as a matrix product.

    Args:
        weight: [k * k * channel, out], rows ordered by kernel row, kernel column, channel.
        k: Width of the kernel, odd.
    """
    patches = x[:, ::stride, ::stride] if k == 1 else _gathered(x, k, stride)
    return linear(patches, weight)


def _gathered(x: Array, k: int, stride: int) -> Array:
    """For each pixel of the result the patch it is made of: [batch, row, column, k * k * channel].

    Columns are gathered before rows: two passes copy less than one for each place in the patch.
    """
    x = pad_sides(x, (1, 2), k // 2)
    rows, columns = ((size - k) // stride * stride + 1 for size in x.shape[1:3])
    wide = jnp.concatenate([x[:, :, j : j + columns : stride] for j in range(k)], -1)
    return jnp.concatenate([wide[:, i : i + rows : stride] for i in range(k)], -1)


def convolve_plain(x: Array, weight: Array, k: int, stride: int) -> Array:
    """The same by the device's own convolution."""
    kernel = weight.reshape(k, k, x.shape[-1], -1)
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(k // 2, k // 2)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def pool_3x3(x: Array) -> Array:
    """Largest of each 3x3 window, two apart, of [batch, height, width, channel] images.

    As in `convolve_and_pool`, one byte for each window remembers which of its pixels won.
    """
    return _pool_3x3(x, (x.shape[1], x.shape[2]))


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _pool_3x3(x: Array, sides: tuple[int, int]) -> Array:
    return _pool_3x3_forward(x, sides)[0]


def _pool_3x3_forward(x: Array, sides: tuple[int, int]) -> tuple[Array, Array]:  # noqa: ARG001
    slabs = _windows(pad_sides(x, (1, 2), 1, -jnp.inf))
    largest, winner = slabs[0], jnp.zeros(slabs[0].shape, jnp.int8)
    for place, slab in enumerate(slabs[1:], 1):
        winner = jnp.where(slab > largest, jnp.int8(place), winner)
        largest = jnp.maximum(slab, largest)
    return largest, winner


def _pool_3x3_gradient(sides: tuple[int, int], winner: Array, d_y: Array) -> tuple[Array]:
    def share(row: int, column: int) -> Array:
        """What the windows' pixels at that place get, one more row and column than windows."""
        given = jnp.where(winner == 3 * row + column, d_y, 0)
        down, right = row // 2, column // 2
        return jnp.pad(given, ((0, 0), (down, 1 - down), (right, 1 - right), (0, 0)))

    # Pixels in even rows of the padded image end one window and start the next; so for columns.
    even = jnp.stack(
        [share(0, 0) + share(0, 2) + share(2, 0) + share(2, 2), share(0, 1) + share(2, 1)], 3
    )
    odd = jnp.stack([share(1, 0) + share(1, 2), share(1, 1)], 3)
    batch, rows, columns, _, channels = odd.shape
    padded = jnp.stack([even, odd], 2).reshape(batch, 2 * rows, 2 * columns, channels)
    return (padded[:, 1 : 1 + sides[0], 1 : 1 + sides[1]],)


_pool_3x3.defvjp(_pool_3x3_forward, _pool_3x3_gradient)


def _windows(padded: Array) -> list[Array]:
    """For each place in a 3x3 window, two apart, the image of what stands at that place."""
    rows, columns = ((size - 3) // 2 * 2 + 1 for size in padded.shape[1:3])
    return [padded[:, i : i + rows : 2, j : j + columns : 2] for i in range(3) for j in range(3)]


def pad_sides(x: Array, axes: tuple[int, ...], width: int, value: float = 0.0) -> Array:
    """`width` more of `value` before and after, along those axes."""
    if not width:
        return x
    pads = [(width, width) if axis in axes else (0, 0) for axis in range(x.ndim)]
    return jnp.pad(x, pads, constant_values=value)
