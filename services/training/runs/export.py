"""Fitted ensembles as StableHLO programs beside their weights."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from safetensors.numpy import save

from services.training.runs.answer import Network, Weights
from services.training.runs.attribution import NODES, Learned, attribute

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]

PREDICT_FILE = "predict.jaxexport"
ATTRIBUTE_FILE = "attribute.jaxexport"
WEIGHTS_FILE = "weights.safetensors"
PLATFORMS = ("cpu", "cuda")

EMBEDDING_WIDTH = 16
"""Numbers of an embedding: the directions in which customers differ most."""

ROWS_FOR_COMPLETENESS = 512

GOOD_COMPLETENESS_ERROR = 2e-5
"""On a sample, contributions should add up within this, so that all rows do within 1e-4; more nodes
are taken until they do."""

_COLUMNS = (
    *("active_probability", "churn_probability", "expected_value"),
    *("value_low", "value_high", "segment"),
)

NODE_COUNTS = (NODES, 2 * NODES, 4 * NODES)


@dataclass(frozen=True)
class Exported:
    """Files of a model version and what was measured of its programs."""

    files: Mapping[str, bytes]
    completeness_error: float


def export_programs(
    network: Network,
    weights: Mapping[str, NumpyArray],
    predict: Callable[[Weights, Array, Array], dict[str, Array]],
    learned: Learned,
    features: NumpyArray,
) -> Exported:
    """Export both programs with a free batch size for CPU and CUDA.

    Args:
        network: The ensemble's shape.
        weights: Its numbers.
        predict: The program (weights, features, eligible) -> answers.
        learned: As of `attribute`.
        features: Raw rows to measure the completeness of attributions on.
    """
    (batch,) = export.symbolic_shape("b", constraints=["b >= 1"])
    shape: Any = jax.ShapeDtypeStruct
    kinds = {n: shape(v.shape, v.dtype) for n, v in weights.items()}
    rows = shape((batch, features.shape[1]), jnp.float32)
    eligible = shape((batch,), jnp.bool_)
    for nodes in NODE_COUNTS:
        reasons = jax.jit(attribute(network, learned, nodes))
        error = completeness_error(reasons(dict(weights), features))
        if error <= GOOD_COMPLETENESS_ERROR:
            break
    return Exported(
        files={
            PREDICT_FILE: serialized(jax.jit(predict), kinds, rows, eligible),
            ATTRIBUTE_FILE: serialized(reasons, kinds, rows),
            WEIGHTS_FILE: save(dict(weights)),
        },
        completeness_error=error,
    )


def completeness_error(attribution: Mapping[str, Any]) -> float:
    """Largest distance between a logit and what its contributions add up to."""
    total = np.asarray(attribution["contributions"], np.float64).sum(axis=1)
    total = total + float(attribution["baseline_logit"])
    return float(np.abs(total - np.asarray(attribution["logit"], np.float64)).max())


def signature(feature_count: int) -> Mapping[str, Any]:
    """What the programs about users take and give, in words for the manifest."""
    outputs = {
        **{name: {"dtype": "float32", "shape": ["b"]} for name in _COLUMNS},
        "segment_probabilities": {"dtype": "float32", "shape": ["b", 4]},
    }
    block = {"dtype": "float32", "shape": ["b", feature_count]}
    return {
        **explained(feature_count, outputs),
        "embed": {
            "inputs": {"features": block},
            "outputs": {"embedding": {"dtype": "float32", "shape": ["b", EMBEDDING_WIDTH]}},
        },
    }


def explained(feature_count: int, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """What a program with such outputs takes and gives, and the one that gives reasons."""
    block = {"dtype": "float32", "shape": ["b", feature_count]}
    column = {"dtype": "float32", "shape": ["b"]}
    return {
        "predict": {
            "inputs": {"features": block, "eligible": {"dtype": "bool", "shape": ["b"]}},
            "outputs": dict(outputs),
        },
        "attribute": {
            "inputs": {"features": block},
            "outputs": {
                "contributions": block,
                "logit": column,
                "baseline_logit": {"dtype": "float32", "shape": []},
            },
        },
    }


def serialized(program: Any, *arguments: Any) -> bytes:
    """The bytes of a jitted program for CPU and CUDA; equal programs have equal ones."""
    with _without_source_lines():
        exported = export.export(program, platforms=PLATFORMS)(*arguments)
        return bytes(exported.serialize())


def spread(features: NumpyArray, count: int = ROWS_FOR_COMPLETENESS) -> NumpyArray:
    """At most so many rows, evenly spread over all."""
    chosen = np.linspace(0, len(features) - 1, min(count, len(features))).astype(int)
    rows: NumpyArray = features[chosen]
    return rows


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
