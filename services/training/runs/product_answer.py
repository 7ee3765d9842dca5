"""The products that come next as one pure function of weights and candidates: what is exported."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine import Arrays, predict_fn
from services.training.models import LayerList
from services.training.runs.product_config import ANY, HEADS, NEW
from shared.dataset.products import NONE, ProductRows

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]

MEAN, SCALE, RULES = "reading/mean", "reading/scale", "reading/rules"

_RULES: Mapping[str, Mapping[str, float]] = {
    ANY: {"own_orders": 3.0, "sold_30d": 0.5},
    NEW: {"regression_recent": 1.0},
}
"""What scores start from, by features as they are: own products by how often, then best sellers;
and the regression of each product on what the user ordered."""

HIGHEST = 4.0
"""Scaled features are cut here, so that what was rare in training moves nothing far."""

_NEVER = -1e9


def objective(outputs: dict[str, Array], targets: dict[str, Array], weights: Array) -> Array:
    """Minus the log of what a softmax over the candidates gives to products that were ordered.

    All that were ordered count together for any product, each by itself for new ones; a row counts
    once however much was ordered.
    """
    is_any, is_ordered = targets["is_candidate"], targets["is_ordered"]
    is_new = is_any & ~targets["is_own"]
    whole = _together(outputs[ANY], is_any, is_ordered)
    return weights * (whole + _each(outputs[NEW], is_new, is_ordered & is_new))


def _together(scores: Array, is_candidate: Array, is_ordered: Array) -> Array:
    logs = jax.nn.log_softmax(jnp.where(is_candidate, scores, _NEVER), axis=1)
    loss = -jax.nn.logsumexp(jnp.where(is_ordered, logs, _NEVER), axis=1)
    return jnp.where(is_ordered.any(axis=1), loss, 0.0)


def _each(scores: Array, is_candidate: Array, is_ordered: Array) -> Array:
    logs = jax.nn.log_softmax(jnp.where(is_candidate, scores, _NEVER), axis=1)
    count = jnp.maximum(is_ordered.sum(axis=1), 1)
    return -jnp.where(is_ordered, logs, 0.0).sum(axis=1) / count


def arrays_of(rows: ProductRows, reading: Mapping[str, NumpyArray]) -> Arrays:
    """Rows as the engine takes them."""
    return Arrays(
        _inputs(rows.features, rows.is_own, reading),
        {
            "is_candidate": rows.products != NONE,
            "is_own": rows.is_own,
            "is_ordered": rows.is_ordered,
        },
    )


def fit_reading(rows: ProductRows, names: Sequence[str]) -> dict[str, NumpyArray]:
    """Mean and inverse spread of each feature over candidates, and the rules as a matrix.

    A feature that never varies is scaled by 0.
    """
    values = rows.features[rows.products != NONE].astype(np.float64)
    spread = values.std(axis=0)
    scale = np.where(spread > 1e-4, 1 / np.maximum(spread, 1e-4), 0.0)
    rules = np.array([[_RULES[head].get(name, 0.0) for head in HEADS] for name in names])
    found = {MEAN: values.mean(axis=0), SCALE: scale, RULES: rules}
    return {name: each.astype(np.float32) for name, each in found.items()}


def _inputs(features: Any, is_own: Any, weights: Mapping[str, Any]) -> dict[str, Any]:
    """What the model takes; of NumPy or JAX as it comes."""
    ahead = (1,) * (features.ndim - 1)
    values = (features - weights[MEAN].reshape(*ahead, -1)) * weights[SCALE].reshape(*ahead, -1)
    return {
        "features": values.clip(-HIGHEST, HIGHEST),
        "is_own": is_own,
        "rules": features @ weights[RULES],
    }


def predict_products(
    layers: LayerList,
) -> Callable[[Mapping[str, Any], Array, Array], dict[str, Array]]:
    """The program (weights, features, is_own) -> a score of each candidate for both questions.

    Features are float32 [b, candidate, feature] as the dataset has them.
    """
    network = predict_fn(layers)

    def run(weights: Mapping[str, Any], features: Array, is_own: Array) -> dict[str, Array]:
        said = network(dict(weights), _inputs(features, is_own, weights))
        return {name: said[name] for name in HEADS}

    return run


def answers(
    layers: LayerList, weights: Mapping[str, Any], rows: ProductRows, size: int = 256
) -> dict[str, NumpyArray]:
    """What the program says of rows held in memory: scores [row, candidate] by question."""
    run = jax.jit(predict_products(layers))
    parts = []
    for start in range(0, len(rows), size):
        # The last block goes back far enough to be full, so that all calls share one program.
        first = max(min(start, len(rows) - size), 0)
        block = rows.rows(slice(first, first + size))
        said = run(dict(weights), block.features, block.is_own)
        parts.append({name: np.asarray(each)[start - first :] for name, each in said.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in HEADS}
