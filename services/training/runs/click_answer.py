"""What a model of clicks is fitted to and says: how likely each candidate is the next click."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine import Arrays
from services.training.models import LayerList
from services.training.runs.candidate_answer import (
    Weights,
    inputs_of,
    log_shares,
    reading_of,
    scores_of,
)
from services.training.runs.click_config import HEADS
from shared.dataset.clicks import NONE, ClickRows

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]

_RULES: tuple[Mapping[str, float], ...] = ({"own": 2.0, "own_age": 4.0, "at_once": 0.5},)
"""What scores start from, by features as they are: items of the session by how lately, then what
follows the last click."""


_READ_FROM = 10_000


def objective(outputs: dict[str, Array], targets: dict[str, Array], weights: Array) -> Array:
    """Minus the log of what a softmax over the candidates gives to what was clicked on."""
    logs = log_shares(outputs[HEADS[0]], targets["is_candidate"])
    return weights * -jnp.take_along_axis(logs, targets["answer"][:, None], axis=1)[:, 0]


def arrays_of(rows: ClickRows, reading: Mapping[str, NumpyArray]) -> Arrays:
    """Rows as the engine takes them; what was clicked on must be among the candidates."""
    return Arrays(
        inputs_of(rows.features, rows.is_own, reading),
        {"is_candidate": rows.items != NONE, "answer": rows.answers},
    )


def fit_reading(rows: ClickRows, names: Sequence[str]) -> dict[str, NumpyArray]:
    """How features are read, fitted to the candidates of some of these rows, evenly spread."""
    some = rows.rows(slice(None, None, max(len(rows) // _READ_FROM, 1)))
    return reading_of(some.features[some.items != NONE], names, _RULES)


def answers(layers: LayerList, weights: Weights, rows: ClickRows) -> NumpyArray:
    """What the program says of rows held in memory: scores [row, candidate]; -inf where none is."""
    said = scores_of(layers, HEADS, weights, rows.features, rows.is_own)[HEADS[0]]
    return np.where(rows.items != NONE, said, -np.inf)
