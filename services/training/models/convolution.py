"""Convolution and pooling written as large matrix products where that is the faster form.

XLA's convolution and its gradient of max-pooling are slow on a CPU; a matrix product is not. On an
accelerator the plain convolution is the fast one. Both forms give the same numbers up to rounding.
"""

from collections.abc import Callable
from functools import reduce

import jax
import jax.numpy as jnp

from services.training.models.layer import Array, Step

Form = Callable[..., Array]


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


def convolve_and_pool(x: Array, weight: Array, padding: int) -> Array:
    """Stride-1 convolution and 2x2 max-pooling of channel-major images, as one matrix product.

    The product computes the four outputs of each pooling window at once from the patch that they
    share, so a patch is gathered once and not four times, and pooling is the maximum of the four.

    Args:
        x: [channel, height, width, batch]; height and width even.
        weight: [out, channel, k, k], k odd.
        padding: Zeros on every side.
    """
    out, channels, k, _ = weight.shape
    taps = (k + 1) // 2
    x = pad_sides(x, (1, 2), padding)
    height, width, batch = x.shape[1] // 2, x.shape[2] // 2, x.shape[3]
    rows, columns = height - taps + 1, width - taps + 1
    phases = x.reshape(channels, height, 2, width, 2, batch).transpose(0, 2, 4, 1, 3, 5)
    patches = jnp.stack(
        [phases[:, :, :, i : i + rows, j : j + columns] for i in range(taps) for j in range(taps)]
    ).reshape(taps * taps * channels * 4, rows * columns * batch)
    shifted = jnp.stack(
        [
            jnp.pad(weight, ((0, 0), (0, 0), (dy, 1 - dy), (dx, 1 - dx)))
            for dy in range(2)
            for dx in range(2)
        ]
    ).reshape(4, out, channels, taps, 2, taps, 2)
    tile = shifted.transpose(0, 1, 3, 5, 2, 4, 6).reshape(4 * out, taps * taps * channels * 4)
    y = (tile @ patches).reshape(4, out, rows, columns, batch)
    return halve_by_max([y[n] for n in range(4)])


def convolve_and_pool_plain(x: Array, weight: Array, padding: int) -> Array:
    """The same by the device's own convolution."""
    y = jax.lax.conv_general_dilated(
        x, weight, (1, 1), [(padding, padding)] * 2, dimension_numbers=("CHWN", "OIHW", "CHWN")
    )
    return halve_by_max([y[:, i::2, j::2] for i in range(2) for j in range(2)])


def convolve(x: Array, weight: Array, k: int, stride: int) -> Array:
    """Same-size convolution of [batch, height, width, channel] images as a matrix product.

    Args:
        weight: [k * k * channel, out], rows ordered by kernel row, kernel column, channel.
        k: Width of the kernel, odd.
    """
    if k == 1:
        return x[:, ::stride, ::stride] @ weight
    return jnp.concatenate(windows(pad_sides(x, (1, 2), k // 2), k, stride), -1) @ weight


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
    """Largest of each 3x3 window, two apart, of [batch, height, width, channel] images."""
    return halve_by_max(windows(pad_sides(x, (1, 2), 1, -jnp.inf), 3, 2))


def windows(padded: Array, k: int, stride: int) -> list[Array]:
    """For each place in a kxk window, the image of what stands at that place."""
    rows = (padded.shape[1] - k) // stride * stride + 1
    columns = (padded.shape[2] - k) // stride * stride + 1
    return [
        padded[:, i : i + rows : stride, j : j + columns : stride]
        for i in range(k)
        for j in range(k)
    ]


def pad_sides(x: Array, axes: tuple[int, ...], width: int, value: float = 0.0) -> Array:
    """`width` more of `value` before and after, along those axes."""
    if not width:
        return x
    pads = [(width, width) if axis in axes else (0, 0) for axis in range(x.ndim)]
    return jnp.pad(x, pads, constant_values=value)
