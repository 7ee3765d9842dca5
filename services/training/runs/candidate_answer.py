"""Scores of candidates as one pure function of weights and features: what is exported."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from services.training.engine import predict_fn
from services.training.models import LayerList
from services.training.runs.export import serialized

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]
Weights = Mapping[str, Any]

MEAN, SCALE, RULES = "reading/mean", "reading/scale", "reading/rules"

HIGHEST = 4.0
"""Scaled features are cut here, so that what was rare in training moves nothing far."""

NEVER = -1e9
"""Score of what is no candidate, and log of what has no chance."""


def reading_of(
    values: NumpyArray, names: Sequence[str], rules: Sequence[Mapping[str, float]]
) -> dict[str, NumpyArray]:
    """Mean and inverse spread of each feature over candidates, and the rules as a matrix.

    A feature that never varies is scaled by 0.

    Args:
        values: [candidate, feature] of all rows.
        names: Of the features.
        rules: What the scores of each head start from, by features as they are.
    """
    values = values.astype(np.float64)
    spread = values.std(axis=0)
    scale = np.where(spread > 1e-4, 1 / np.maximum(spread, 1e-4), 0.0)
    matrix = np.array([[rule.get(name, 0.0) for rule in rules] for name in names])
    found = {MEAN: values.mean(axis=0), SCALE: scale, RULES: matrix}
    return {name: each.astype(np.float32) for name, each in found.items()}


def inputs_of(features: Any, is_own: Any, weights: Weights) -> dict[str, Any]:
    """What the model takes; of NumPy or JAX as it comes."""
    ahead = (1,) * (features.ndim - 1)
    values = (features - weights[MEAN].reshape(*ahead, -1)) * weights[SCALE].reshape(*ahead, -1)
    return {
        "features": values.clip(-HIGHEST, HIGHEST),
        "is_own": is_own,
        "rules": features @ weights[RULES],
    }


def log_shares(scores: Array, is_candidate: Array) -> Array:
    """Logs of a softmax over the candidates of each row; those left out are far below."""
    return jax.nn.log_softmax(jnp.where(is_candidate, scores, NEVER), axis=1)


def predict_candidates(
    layers: LayerList, heads: Sequence[str]
) -> Callable[[Weights, Array, Array], dict[str, Array]]:
    """The program (weights, features, is_own) -> a score of each candidate by head.

    Features are float32 [b, candidate, feature] as the dataset has them.
    """
    network = predict_fn(layers)

    def run(weights: Weights, features: Array, is_own: Array) -> dict[str, Array]:
        said = network(dict(weights), inputs_of(features, is_own, weights))
        return {name: said[name] for name in heads}

    return run


def scores_of(
    layers: LayerList,
    heads: Sequence[str],
    weights: Weights,
    features: NumpyArray,
    is_own: NumpyArray,
    size: int = 256,
) -> dict[str, NumpyArray]:
    """What the program says of rows held in memory: scores [row, candidate] by head."""
    run = jax.jit(predict_candidates(layers, heads))
    parts = []
    for start in range(0, len(features), size):
        # The last block goes back far enough to be full, so that all calls share one program.
        first = max(min(start, len(features) - size), 0)
        block = slice(first, first + size)
        said = run(dict(weights), features[block].astype(np.float32), is_own[block])
        parts.append({name: np.asarray(each)[start - first :] for name, each in said.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in heads}


def candidate_program(
    layers: LayerList, heads: Sequence[str], weights: Weights, candidates: int, features: int
) -> bytes:
    """The program for any number of rows, to be stored."""
    (batch,) = export.symbolic_shape("b", constraints=["b >= 1"])
    shape: Any = jax.ShapeDtypeStruct
    kinds = {name: shape(value.shape, value.dtype) for name, value in weights.items()}
    rows = shape((batch, candidates, features), np.float32)
    is_own = shape((batch, candidates), np.bool_)
    return serialized(jax.jit(predict_candidates(layers, heads)), kinds, rows, is_own)


def candidate_signature(heads: Sequence[str], candidates: int, features: int) -> Mapping[str, Any]:
    """What the program takes and gives, in words for the manifest."""
    scores = {"dtype": "float32", "shape": ["b", candidates]}
    inputs = {
        "features": {"dtype": "float32", "shape": ["b", candidates, features]},
        "is_own": {"dtype": "bool", "shape": ["b", candidates]},
    }
    return {"predict": {"inputs": inputs, "outputs": dict.fromkeys(heads, scores)}}
