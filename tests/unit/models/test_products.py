"""The compiled product of matrices gives what JAX gives, or stands aside."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.training import kernels
from services.training.kernels.library import registered
from services.training.models.parts import product

SIDES = st.integers(1, 80)
DEPTHS = st.integers(1, 1200)  # beyond what is added up in registers in one go


@pytest.fixture(autouse=True, scope="module")
def compiled():
    if not registered():
        pytest.skip("no compiled kernels for this machine; `make kernels` builds them")


def matrix(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(np.float32)


@given(SIDES, DEPTHS, SIDES, st.booleans(), st.booleans())
@settings(max_examples=25, deadline=None)
def test_product_is_that_of_the_matrices_whichever_way_they_lie(rows, depth, columns, a_is, b_is):
    a, b = matrix(rows, depth), matrix(depth, columns, seed=1)
    given_a, given_b = (a.T.copy() if a_is else a), (b.T.copy() if b_is else b)
    found = kernels.multiply(
        jnp.asarray(given_a), jnp.asarray(given_b), a_is_turned=a_is, b_is_turned=b_is
    )
    exact = a.astype(np.float64) @ b
    bound = 1e-6 * depth**0.5 * np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=0)
    assert (np.abs(found - exact) <= bound + 1e-6).all()


def test_a_number_does_not_depend_on_what_is_computed_beside_it():
    a, b = matrix(97, 700), matrix(700, 130, seed=1)
    whole = np.asarray(kernels.multiply(a, b))
    np.testing.assert_array_equal(whole[:, :33], kernels.multiply(a, b[:, :33]))
    np.testing.assert_array_equal(whole[40:61], kernels.multiply(a[40:61], b))


def test_what_is_not_a_number_spoils_its_own_row_only():
    a = matrix(20, 600)
    a[3, 5] = np.nan
    found = np.asarray(kernels.multiply(a, matrix(600, 40)))
    assert np.isnan(found[3]).all()
    assert not np.isnan(np.delete(found, 3, axis=0)).any()


def test_matrices_that_do_not_fit_are_refused():
    call = jax.ffi.ffi_call("oriel_multiply", jax.ShapeDtypeStruct((3, 5), jnp.float32))
    with pytest.raises(Exception, match="do not fit each other"):
        call(matrix(3, 4), matrix(6, 5), a_is_turned=np.bool_(False), b_is_turned=np.bool_(False))


def gradients(x, weight):
    return jax.make_jaxpr(jax.grad(lambda *both: product(*both).sum(), (0, 1)))(x, weight)


def test_training_calls_it_for_large_matrices_and_what_is_exported_does_not():
    large = jnp.zeros((512, 512)), jnp.zeros((512, 512))
    assert str(gradients(*large)).count("oriel_multiply") == 3
    assert "oriel_multiply" not in str(jax.make_jaxpr(product)(*large))
    assert "oriel_multiply" not in str(gradients(jnp.zeros((64, 16)), jnp.zeros((16, 16))))
    assert "oriel_multiply" not in str(gradients(*(each.astype("bfloat16") for each in large)))


def test_gradients_are_those_of_the_plain_product():
    x, weight = matrix(300, 256), matrix(256, 300, seed=1)

    def loss(form, x, weight):
        return jnp.sin(form(x, weight)).sum()

    found = jax.grad(loss, (1, 2))(product, x, weight)
    expected = jax.grad(loss, (1, 2))(jnp.matmul, x, weight)
    for mine, theirs in zip(found, expected, strict=True):
        assert jnp.abs(mine - theirs).max() <= 2e-5 * jnp.abs(theirs).max()
