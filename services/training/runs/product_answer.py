"""The products that come next as one pure function of weights and candidates: what is exported."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine import Arrays
from services.training.models import LayerList
from services.training.runs.candidate_answer import (
    NEVER,
    Weights,
    inputs_of,
    log_shares,
    reading_of,
    scores_of,
)
from services.training.runs.product_config import ANY, HEADS, NEW
from shared.dataset.products import NONE, ProductRows

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]

_RULES: Mapping[str, Mapping[str, float]] = {
    ANY: {"own_orders": 3.0, "sold_30d": 0.5},
    NEW: {"regression_recent": 1.0},
}
"""What scores start from, by features as they are: own products by how often, then best sellers;
and the regression of each product on what the user ordered."""


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
    logs = log_shares(scores, is_candidate)
    loss = -jax.nn.logsumexp(jnp.where(is_ordered, logs, NEVER), axis=1)
    return jnp.where(is_ordered.any(axis=1), loss, 0.0)


def _each(scores: Array, is_candidate: Array, is_ordered: Array) -> Array:
    logs = log_shares(scores, is_candidate)
    count = jnp.maximum(is_ordered.sum(axis=1), 1)
    return -jnp.where(is_ordered, logs, 0.0).sum(axis=1) / count


def arrays_of(rows: ProductRows, reading: Mapping[str, NumpyArray]) -> Arrays:
    """Rows as the engine takes them."""
    return Arrays(
        inputs_of(rows.features, rows.is_own, reading),
        {
            "is_candidate": rows.products != NONE,
            "is_own": rows.is_own,
            "is_ordered": rows.is_ordered,
        },
    )


def fit_reading(rows: ProductRows, names: Sequence[str]) -> dict[str, NumpyArray]:
    """How features are read, fitted to the candidates of these rows."""
    values = rows.features[rows.products != NONE]
    return reading_of(values, names, [_RULES[head] for head in HEADS])


def answers(
    layers: LayerList, weights: Weights, rows: ProductRows, size: int = 256
) -> dict[str, NumpyArray]:
    """What the program says of rows held in memory: scores [row, candidate] by question."""
    return scores_of(layers, HEADS, weights, rows.features, rows.is_own, size)
