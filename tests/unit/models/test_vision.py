"""LeNet-5 and ResNet-50 have the sizes of the papers and say which images they cannot take."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from services.training.engine import forward, init_weights
from services.training.models import Field, HeadSpec, InputSpec, LeNet5Config, ResNet50Config
from shared.errors import InvalidArgumentError

HEADS = (HeadSpec("kind", 10),)


def images(*shape, dtype="float32"):
    return InputSpec((Field("images", shape, dtype),))


@partial(jax.jit, static_argnums=(0,), static_argnames=("is_training",))
def run(layers, weights, inputs, is_training=False):
    return forward(layers, weights, inputs, is_training=is_training)


def trained_numbers(layers):
    return sum(layer.layout.size for layer in layers)


def test_lenet_has_the_parameters_of_the_classic_network():
    layers = LeNet5Config().build(images(28, 28, 1), HEADS)
    assert trained_numbers(layers) == 61_706


@pytest.mark.parametrize("shape", [(32, 32, 3), (64, 64, 3)])
def test_lenet_takes_the_larger_images_too(shape):
    layers = LeNet5Config().build(images(*shape), HEADS)
    batch = {"images": jnp.zeros((2, *shape))}
    assert run(layers, init_weights(layers, 0), batch)[0]["kind"].shape == (2, 10)


def test_lenet_refuses_sides_that_do_not_pool_in_pairs():
    with pytest.raises(InvalidArgumentError, match="multiples of 4"):
        LeNet5Config().build(images(30, 30, 1), HEADS)


def test_resnet_has_the_parameters_of_resnet_50():
    heads = (HeadSpec("kind", 1000),)
    assert trained_numbers(ResNet50Config().build(images(224, 224, 3), heads)) == 25_557_032


def test_bytes_are_images_scaled_to_one():
    shape = (12, 12, 2)
    layers = LeNet5Config(filters=(4, 6), dense=(8,)).build(images(*shape), HEADS)
    weights = init_weights(layers, 0)
    pixels = np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.uint8)
    scaled = {"images": pixels.astype(np.float32) / 127.5 - 1.0}
    np.testing.assert_allclose(
        run(layers, weights, {"images": jnp.asarray(pixels)})[0]["kind"],
        run(layers, weights, scaled)[0]["kind"],
        rtol=1e-5,
        atol=1e-6,
    )


def test_batch_normalisation_learns_the_mean_and_variance_of_its_batches():
    layers = ResNet50Config(stem="small", width=4, blocks=(1,)).build(images(8, 8, 3), HEADS)
    weights = init_weights(layers, 0)
    batch = {"images": jax.random.normal(jax.random.key(0), (64, 8, 8, 3))}
    observed = run(layers, weights, batch, is_training=True)[1]
    settled = run(layers, weights | observed, batch)[0]["kind"]
    trained = run(layers, weights, batch, is_training=True)[0]["kind"]
    np.testing.assert_allclose(settled, trained, rtol=1e-4, atol=1e-5)
