"""A logistic model small enough to check by hand, exported as training exports its own."""

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from jax import export

FEATURES = ("recency_days", "orders_ever", "gross_ever")
WEIGHTS = {
    "fill": np.array([400.0, 0.0, 0.0], np.float32),
    "mean": np.array([4.0, 1.0, 3.0], np.float32),
    "slope": np.array([-1.0, 0.5, 0.25], np.float32),
    "bias": np.array(0.2, np.float32),
}
BASE_RATE = 0.25
BASE_VALUE = 12.5
MANIFEST = {
    "features": list(FEATURES),
    "feature_set_version": "fs1",
    "dataset_hash": "d0",
    "predictions": ["churn_90d"],
    "horizon_days": 90,
    "jax_version": jax.__version__,
}


def _scaled(weights, features):
    known = jnp.where(jnp.isnan(features), weights["fill"][None], features)
    return jnp.log1p(known) - weights["mean"][None]


def _logit(weights, scaled):
    return (scaled * weights["slope"][None]).sum(1) + weights["bias"]


def predict(weights, features, eligible):
    """Return what the `predict` program of this model computes."""
    logit = _logit(weights, _scaled(weights, features))
    active = jnp.where(eligible, jax.nn.sigmoid(logit), BASE_RATE)
    value = jnp.where(eligible, active * 100.0, BASE_VALUE)
    third = jnp.broadcast_to((active / 3.0)[:, None], (features.shape[0], 3))
    return {
        "active_probability": active,
        "churn_probability": 1.0 - active,
        "expected_value": value,
        "segment_probabilities": jnp.concatenate([(1.0 - active)[:, None], third], 1),
        "segment": jnp.where(active > 0.5, 3.0, 0.0),
        "value_low": 0.5 * value,
        "value_high": 3.0 * value,
    }


def attribute(weights, features):
    """Return what the `attribute` program of this model computes; exact, as it is linear."""
    scaled = _scaled(weights, features)
    return {
        "contributions": scaled * weights["slope"][None],
        "logit": _logit(weights, scaled),
        "baseline_logit": _logit(weights, jnp.zeros_like(scaled[:1]))[0],
    }


def files(weights=WEIGHTS):
    """Return the files of a version with these weights."""
    (batch,) = export.symbolic_shape("b")
    specs = {
        name: jax.ShapeDtypeStruct(value.shape, value.dtype) for name, value in weights.items()
    }
    rows = jax.ShapeDtypeStruct((batch, len(FEATURES)), jnp.float32)
    eligible = jax.ShapeDtypeStruct((batch,), jnp.bool_)
    return {
        "predict.jaxexport": _exported(predict, specs, rows, eligible),
        "attribute.jaxexport": _exported(attribute, specs, rows),
        "weights.safetensors": safetensors.numpy.save(dict(weights)),
    }


def rows(count, seed=0):
    """Return plausible features with missing values."""
    random = np.random.default_rng(seed)
    values = random.exponential([60.0, 4.0, 300.0], (count, 3)).astype(np.float32)
    values[random.random((count, 3)) < 0.1] = np.nan
    return values


def _exported(function, *specs):
    return bytes(export.export(jax.jit(function), platforms=("cpu", "cuda"))(*specs).serialize())
