"""The compiled kernel gives what plain JAX gives, or stands aside."""

import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from services.training import kernels
from services.training.kernels.library import registered
from services.training.models import HeadSpec, parse_config
from services.training.models.convolution import convolve_and_pool
from services.training.models.layer import Field, InputSpec, Step

SHAPES = [
    pytest.param(1, 28, 6, 2, 128, id="the first convolution of LeNet-5"),
    pytest.param(6, 14, 16, 0, 32, id="the second convolution of LeNet-5"),
    pytest.param(3, 8, 7, 4, 16, id="more padding than pixels beside the kernel"),
    pytest.param(13, 6, 1, 0, 48, id="many channels into one"),
]


@pytest.fixture(scope="module")
def compiled():
    if not registered():
        pytest.skip("no compiled kernels for this machine; `make kernels` builds them")


def arrays(channels, side, filters, batch, seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((channels, side, side, batch), (filters, channels, 5, 5), (filters,))
    return [jnp.asarray(rng.standard_normal(shape) / 4, jnp.float32) for shape in shapes]


def value_and_gradients(form, padding, x, weight, bias):
    def total(*inputs):
        y = form(*inputs, padding)
        return jnp.sin(y).sum(), y

    gradients, y = jax.jit(jax.grad(total, (0, 1, 2), has_aux=True))(x, weight, bias)
    return y, *gradients


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(("channels", "side", "filters", "padding", "batch"), SHAPES)
def test_kernel_equals_the_matrix_product(channels, side, filters, padding, batch):
    inputs = arrays(channels, side, filters, batch)
    found = value_and_gradients(kernels.convolve_and_pool, padding, *inputs)
    for mine, theirs in zip(
        found, value_and_gradients(convolve_and_pool, padding, *inputs), strict=True
    ):
        assert jnp.abs(mine - theirs).max() <= 1e-5 * jnp.abs(theirs).max()


@pytest.mark.usefixtures("compiled")
def test_of_equal_pixels_the_first_wins_in_both_forms():
    x, weight, bias = jnp.ones((2, 12, 12, 16)), jnp.ones((3, 2, 5, 5)), jnp.zeros(3)
    found = value_and_gradients(kernels.convolve_and_pool, 0, x, weight, bias)
    expected = value_and_gradients(convolve_and_pool, 0, x, weight, bias)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)


@pytest.mark.usefixtures("compiled")
def test_what_is_not_a_number_stays_so_and_spoils_its_own_image_only():
    x, weight, bias = arrays(1, 12, 4, 32)
    y = kernels.convolve_and_pool(x.at[0, 5, 5, 3].set(jnp.nan), weight, bias, 0)
    assert jnp.isnan(y[..., 3]).any()
    assert not jnp.isnan(y.at[..., 3].set(0)).any()


@pytest.mark.usefixtures("compiled")
def test_the_same_call_gives_the_same_bits():
    inputs = arrays(6, 14, 16, 128)
    first, *others = (value_and_gradients(kernels.convolve_and_pool, 0, *inputs) for _ in range(5))
    for other in others:
        for mine, theirs in zip(first, other, strict=True):
            assert bytes(np.asarray(mine)) == bytes(np.asarray(theirs))


@pytest.mark.usefixtures("compiled")
def test_kernel_refuses_shapes_that_it_was_not_made_for():
    x, weight, bias = arrays(1, 12, 4, 24)
    with pytest.raises(Exception, match="batch a multiple of 16"):
        kernels.convolve_and_pool(x, weight, bias, 0)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(
    ("batch", "dtype", "size"), [(24, "float32", 5), (32, "bfloat16", 5), (32, "float32", 3)]
)
def test_other_batches_types_and_kernels_are_left_to_jax(batch, dtype, size):
    x, weight = jnp.zeros((1, 12, 12, batch), dtype), jnp.zeros((4, 1, size, size), dtype)
    assert not kernels.fits(x, weight)


def lenet_program(*, is_training):
    layers = parse_config({"type": "lenet5"}).build(
        InputSpec((Field("images", (28, 28, 1)),)), (HeadSpec("kind", 10),)
    )
    flat = jnp.zeros(layers[0].layout.size)
    images = {"images": jnp.zeros((16, 28, 28, 1))}
    step = Step(is_training=is_training, key=jax.random.key(0))
    return str(jax.make_jaxpr(lambda flat: layers[0].apply(flat, jnp.zeros(0), images, step))(flat))


@pytest.mark.usefixtures("compiled")
def test_training_calls_the_kernel_and_what_is_exported_does_not():
    assert "oriel_convolve_and_pool" in lenet_program(is_training=True)
    assert "oriel_convolve_and_pool" not in lenet_program(is_training=False)


def test_a_product_of_any_number_of_rows_is_left_to_jax():
    (rows,) = jax.export.symbolic_shape("b")
    shape = jax.ShapeDtypeStruct
    block, weight = shape((rows, 256), jnp.float32), shape((256, 256), jnp.float32)
    assert not kernels.multiplies(block, weight)


def test_the_environment_turns_kernels_off():
    told = "from services.training.kernels.library import registered; print(registered())"
    command = ["env", "ORIEL_KERNELS=off", sys.executable, "-c", told]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


def build(**environment):
    command = ["env", *(f"{k}={v}" for k, v in environment.items()), sys.executable]
    return subprocess.run(
        [*command, "scripts/build_kernels.py"], capture_output=True, text=True, check=False
    )


@pytest.mark.usefixtures("compiled")
def test_what_was_built_is_not_built_again():
    assert "built before" in build(CXX="false").stdout
