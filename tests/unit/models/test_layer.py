"""Flat vectors hold what their layout says; noise is even and repeatable."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from services.training.models import Layout, Parameter
from services.training.models.noise import fold, keep_mask, root_key

LAYOUT = Layout((Parameter("weight", (2, 3), scale=1.0), Parameter("bias", (3,), fill=0.5)))


def test_the_flat_vector_unpacks_into_its_arrays_in_order():
    arrays = LAYOUT.unpack(jnp.arange(9.0))
    np.testing.assert_array_equal(arrays["weight"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(arrays["bias"], [6, 7, 8])


def test_the_gradient_of_unpacking_lays_the_parts_end_to_end_and_unused_ones_get_zeros():
    def weighed(flat):
        arrays = LAYOUT.unpack(flat)
        return (arrays["weight"] * jnp.arange(6.0).reshape(2, 3)).sum()

    gradient = jax.jit(jax.grad(weighed))(jnp.ones(9))
    assert gradient.tolist() == [0, 1, 2, 3, 4, 5, 0, 0, 0]


def test_weight_decay_acts_on_matrices_only():
    assert LAYOUT.decay_mask().tolist() == [1] * 6 + [0] * 3


def test_the_first_values_depend_on_the_seeds_alone():
    first, second = LAYOUT.init((1, 0)), LAYOUT.init((1, 0))
    assert first.tobytes() == second.tobytes()
    assert first.dtype == np.float32
    assert first[6:].tolist() == [0.5] * 3
    assert not np.array_equal(first[:6], LAYOUT.init((1, 1))[:6])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_masks_keep_the_share_asked_for_in_every_row_and_column(rate):
    mask = np.asarray(keep_mask(root_key(jnp.uint32(3)), (400, 300), rate), np.float64)
    error = np.sqrt(rate * (1 - rate))
    assert abs(mask.mean() - (1 - rate)) < 4 * error / np.sqrt(mask.size)
    for axis in (0, 1):
        share = mask.mean(axis)
        assert share.std() == pytest.approx(error / np.sqrt(mask.shape[axis]), rel=0.15)


def test_masks_of_neighbouring_keys_and_rows_are_unrelated():
    root = root_key(jnp.uint32(3))
    one, two = (np.asarray(keep_mask(fold(root, n), (200, 500), 0.5), np.float64) for n in (0, 1))
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 4 / np.sqrt(one.size)
    assert abs(np.corrcoef(one[:-1].ravel(), one[1:].ravel())[0, 1]) < 4 / np.sqrt(one.size)
    assert abs(np.corrcoef(one[:, :-1].ravel(), one[:, 1:].ravel())[0, 1]) < 4 / np.sqrt(one.size)
