"""Convolution and pooling as matrix products equal JAX's own, and so do their gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from services.training.models.convolution import (
    convolve,
    convolve_and_pool,
    convolve_and_pool_plain,
    convolve_plain,
    pool_3x3,
)


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def normal(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).standard_normal(shape))


def assert_same_value_and_gradients(one, other, *arrays):
    def both(form):
        value, back = jax.vjp(form, *arrays)
        cotangent = jnp.cos(jnp.arange(value.size)).reshape(value.shape)
        return value, *back(cotangent)

    for got, wanted in zip(
        jax.jit(lambda: both(one))(), jax.jit(lambda: both(other))(), strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-10)


def window_maximum(x, size, stride, padding, axes):
    sizes = [size if a in axes else 1 for a in range(4)]
    strides = [stride if a in axes else 1 for a in range(4)]
    pads = [(padding, padding) if a in axes else (0, 0) for a in range(4)]
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, sizes, strides, pads)


def convolved_and_pooled(x, weight, bias, padding):
    y = jax.lax.conv_general_dilated(
        x, weight, (1, 1), [(padding,) * 2] * 2, dimension_numbers=("CHWN", "OIHW", "CHWN")
    )
    return window_maximum(jax.nn.relu(y + bias[:, None, None, None]), 2, 2, 0, (1, 2))


@pytest.mark.parametrize(("channels", "padding", "k"), [(1, 2, 5), (3, 0, 5), (2, 1, 3)])
@pytest.mark.parametrize("form", [convolve_and_pool, convolve_and_pool_plain])
def test_convolution_with_pooling(form, channels, padding, k):
    arrays = normal(channels, 12, 8, 3), normal(4, channels, k, k), normal(4)
    one, other = (partial(each, padding=padding) for each in (form, convolved_and_pooled))
    assert_same_value_and_gradients(one, other, *arrays)


def test_among_equals_in_a_pooling_window_the_first_gets_the_gradient():
    arrays = jnp.ones((2, 8, 8, 3)), normal(4, 2, 3, 3), jnp.ones(4)
    one, other = (partial(f, padding=0) for f in (convolve_and_pool, convolved_and_pooled))
    assert_same_value_and_gradients(one, other, *arrays)


@pytest.mark.parametrize(
    ("k", "stride", "sides"),
    [
        (1, 1, (8, 6)),
        (1, 2, (7, 9)),
        (3, 1, (7, 9)),
        (3, 2, (8, 6)),
        (3, 2, (7, 9)),
        (7, 2, (8, 6)),
    ],
)
def test_convolution_of_rows_of_images(k, stride, sides):
    x, weight = normal(2, *sides, 3), normal(k * k * 3, 5)
    one, other = (partial(form, k=k, stride=stride) for form in (convolve, convolve_plain))
    assert_same_value_and_gradients(one, other, x, weight)


@pytest.mark.parametrize("sides", [(8, 6), (7, 9), (1, 1)])
def test_pooling_of_three_by_three_windows(sides):
    x = normal(2, *sides, 3)
    expected = partial(window_maximum, size=3, stride=2, padding=1, axes=(1, 2))
    assert_same_value_and_gradients(pool_3x3, expected, x)


def test_among_equals_in_a_three_by_three_window_the_first_gets_the_gradient():
    expected = partial(window_maximum, size=3, stride=2, padding=1, axes=(1, 2))
    assert_same_value_and_gradients(pool_3x3, expected, jnp.ones((2, 8, 6, 3)))
