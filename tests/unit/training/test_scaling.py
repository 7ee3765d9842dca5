"""Preprocessing, fitted on training rows and exported with the model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from services.training.runs.scaling import LIMIT, fit_scaling, scale, scale_rows

ROWS = np.array([[1.0, -10.0], [3.0, np.nan], [7.0, 100.0], [7.0, 0.0]], np.float32)


def test_features_are_bent_by_signed_log_and_standardised():
    scaling = fit_scaling(ROWS)
    first = np.log1p([1.0, 3.0, 7.0, 7.0])
    expected = (first - first.mean()) / first.std()
    assert scale_rows(ROWS, scaling)[:, 0] == pytest.approx(expected, abs=1e-5)


def test_missing_values_become_the_mean_and_raise_a_flag():
    inputs = scale_rows(ROWS, fit_scaling(ROWS))
    assert inputs.shape == (4, 3)
    assert inputs[:, 2].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert inputs[1, 1] == 0.0


def test_wild_values_are_cut():
    scaling = fit_scaling(ROWS)
    wild = np.array([[1e30, -1e30]], np.float32)
    assert np.abs(scale_rows(wild, scaling)).max() <= LIMIT


def test_a_constant_or_wholly_missing_column_stays_finite():
    rows = np.stack([np.full(5, 2.0), np.full(5, np.nan)], axis=1).astype(np.float32)
    assert np.isfinite(scale_rows(rows, fit_scaling(rows))).all()


def test_compiled_and_plain_agree():
    scaling = fit_scaling(ROWS)
    plain = scale(
        jnp.asarray(ROWS), jnp.asarray(scaling.centre), jnp.asarray(scaling.spread), scaling.flagged
    )
    assert scale_rows(ROWS, scaling) == pytest.approx(np.asarray(plain), abs=1e-6)
    slope = jax.grad(lambda x: scale(x, scaling.centre, scaling.spread, scaling.flagged).sum())
    assert jnp.isfinite(slope(jnp.asarray(ROWS[:1]))).all()
