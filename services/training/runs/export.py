"""Fitted ensembles as StableHLO programs beside their weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from safetensors.numpy import save

from services.training.runs.answer import predict
from services.training.runs.attribution import NODES, attribute
from services.training.runs.members import Fitted

NumpyArray = np.ndarray[Any, Any]

PREDICT_FILE = "predict.jaxexport"
ATTRIBUTE_FILE = "attribute.jaxexport"
WEIGHTS_FILE = "weights.safetensors"
PLATFORMS = ("cpu", "cuda")

EMBEDDING_WIDTH = 16
"""Numbers of an embedding: the directions in which customers differ most."""

GOOD_COMPLETENESS_ERROR = 2e-5
"""On a sample, contributions should add up within this, so that all rows do within 1e-4; more nodes
are taken until they do."""

NODE_COUNTS = (NODES, 2 * NODES, 4 * NODES)


@dataclass(frozen=True)
class Exported:
    """Files of a model version and what was measured of its programs."""

    files: Mapping[str, bytes]
    completeness_error: float


def export_programs(fitted: Fitted, features: NumpyArray) -> Exported:
    """Export both programs with a free batch size for CPU and CUDA.

    Args:
        fitted: The ensemble.
        features: Raw rows to measure the completeness of attributions on.
    """
    (batch,) = export.symbolic_shape("b", constraints=["b >= 1"])
    shape: Any = jax.ShapeDtypeStruct
    weights = {n: shape(v.shape, v.dtype) for n, v in fitted.weights.items()}
    rows = shape((batch, features.shape[1]), jnp.float32)
    eligible = shape((batch,), jnp.bool_)
    for nodes in NODE_COUNTS:
        reasons = jax.jit(attribute(fitted.network, nodes))
        error = completeness_error(reasons(dict(fitted.weights), features))
        if error <= GOOD_COMPLETENESS_ERROR:
            break
    return Exported(
        files={
            PREDICT_FILE: serialized(jax.jit(predict(fitted.network)), weights, rows, eligible),
            ATTRIBUTE_FILE: serialized(reasons, weights, rows),
            WEIGHTS_FILE: save(dict(fitted.weights)),
        },
        completeness_error=error,
    )


def completeness_error(attribution: Mapping[str, Any]) -> float:
    """Largest distance between a logit and what its contributions add up to."""
    total = np.asarray(attribution["contributions"], np.float64).sum(axis=1)
    total = total + float(attribution["baseline_logit"])
    return float(np.abs(total - np.asarray(attribution["logit"], np.float64)).max())


def signature(feature_count: int) -> Mapping[str, Any]:
    """What the programs take and give, in words for the manifest."""
    block = {"dtype": "float32", "shape": ["b", feature_count]}
    column = {"dtype": "float32", "shape": ["b"]}
    return {
        "predict": {
            "inputs": {"features": block, "eligible": {"dtype": "bool", "shape": ["b"]}},
            "outputs": {
                "active_probability": column,
                "churn_probability": column,
                "expected_value": column,
                "value_low": column,
                "value_high": column,
                "segment": column,
                "segment_probabilities": {"dtype": "float32", "shape": ["b", 4]},
            },
        },
        "attribute": {
            "inputs": {"features": block},
            "outputs": {
                "contributions": block,
                "logit": column,
                "baseline_logit": {"dtype": "float32", "shape": []},
            },
        },
        "embed": {
            "inputs": {"features": block},
            "outputs": {"embedding": {"dtype": "float32", "shape": ["b", EMBEDDING_WIDTH]}},
        },
    }


def serialized(program: Any, *arguments: Any) -> bytes:
    """The bytes of a jitted program for CPU and CUDA; equal programs have equal ones."""
    with _without_source_lines():
        exported = export.export(program, platforms=PLATFORMS)(*arguments)
        return bytes(exported.serialize())


@contextmanager
def _without_source_lines() -> Iterator[None]:
    """Leave paths and lines of our source out of programs: equal programs get equal bytes."""
    settings: Any = jax.config
    before = settings.jax_traceback_in_locations_limit
    settings.update("jax_traceback_in_locations_limit", 0)
    try:
        yield
    finally:
        settings.update("jax_traceback_in_locations_limit", before)
