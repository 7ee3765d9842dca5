"""The answer for an image as one pure function of weights and bytes: what is exported."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize_scalar

from services.training.engine import predict_fn
from services.training.models import LayerList
from services.training.runs.image_config import HEAD

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]

TEMPERATURE = "calibration/temperature"

_MOST_ROWS_A_CALL = 512
_MOST_VALUES_A_CALL = 1_600_000
_WIDEST = 2.0
"""Temperatures from e^-2 to e^2 are tried."""


def objective(outputs: dict[str, Array], wanted: dict[str, Array], weights: Array) -> Array:
    """Cross-entropy of each row, times its weight."""
    chances = jax.nn.log_softmax(outputs[HEAD], axis=1)
    return -weights * jnp.take_along_axis(chances, wanted["label"][:, None], axis=1)[:, 0]


def predict_images(layers: LayerList) -> Callable[[Mapping[str, Any], Array], dict[str, Array]]:
    """The program (weights, images) -> calibrated probabilities of the classes.

    Images are uint8 [b, height, width, channel].
    """
    network = predict_fn(layers)

    def run(weights: Mapping[str, Any], images: Array) -> dict[str, Array]:
        logits = network(dict(weights), {"images": images})[HEAD]
        return {"class_probabilities": jax.nn.softmax(logits / weights[TEMPERATURE], axis=1)}

    return run


def answers(layers: LayerList, weights: Mapping[str, Any], images: NumpyArray) -> NumpyArray:
    """What the program says of images held in memory: float64 [row, class]."""
    run = jax.jit(predict_images(layers))
    size = max(1, min(_MOST_ROWS_A_CALL, _MOST_VALUES_A_CALL // images[0].size))
    parts = []
    for start in range(0, len(images), size):
        rows = images[start : start + size]
        # Filled up with its own rows, so that all calls share one compiled program.
        full = np.resize(rows, (size, *images.shape[1:]))
        said = run(dict(weights), full)["class_probabilities"]
        parts.append(np.asarray(said, np.float64)[: len(rows)])
    return np.concatenate(parts)


def fit_temperature(probabilities: NumpyArray, labels: NumpyArray) -> float:
    """The temperature that gives the least log loss (Guo et al., 2017).

    Args:
        probabilities: Said at temperature 1 of rows that were not fitted on: [row, class].
        labels: The classes seen.
    """
    logs = np.log(np.maximum(probabilities, 1e-30))
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = logs / np.exp(log_temperature)
        highest = scaled.max(axis=1)
        total = highest + np.log(np.exp(scaled - highest[:, None]).sum(axis=1))
        return float((total - scaled[rows, labels]).mean())

    best = minimize_scalar(loss, bounds=(-_WIDEST, _WIDEST), method="bounded")
    return float(np.exp(best.x))
