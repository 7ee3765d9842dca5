"""What a model of images has to beat: multinomial logistic regression on their pixels."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from services.training.evaluation.probability import class_log_loss
from services.training.evaluation.ranking import Floats

_MOST_ROWS = 5_000
"""Rows fitted on, evenly spread over all: more would take longer than the model itself."""

_MOST_VALUES = 64_000_000
"""Pixels fitted on; large images give fewer rows."""

_ROWS_A_CALL = 500

_STRENGTHS = (0.001, 0.01, 0.1)
_ITERATIONS = 60


def pixel_regression(
    train: tuple[NDArray[np.uint8], NDArray[Any]],
    valid: tuple[NDArray[np.uint8], NDArray[Any]],
    images: NDArray[np.uint8],
    class_count: int,
) -> Floats:
    """Class probabilities of images: [row, class].

    Args:
        train: Images and labels to fit on.
        valid: Images and labels by whose log loss the strength of regularisation is chosen.
        images: What to answer for.
        class_count: Number of classes; one that is not met in training gets 0.
    """
    pixels, labels = _spread(*train)
    valid_pixels, valid_labels = _spread(*valid)
    best = np.inf
    answers: Floats = np.zeros((len(images), class_count))
    for strength in _STRENGTHS:
        regression = LogisticRegression(C=strength, max_iter=_ITERATIONS)
        with warnings.catch_warnings():
            # Stopped early it is a baseline all the same, and the same one every time.
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression.fit(pixels, labels)
        said = _probabilities(regression, valid_pixels, class_count)
        loss = class_log_loss(valid_labels, said)(np.ones(len(said)))
        if loss < best:
            best, answers = loss, _all_probabilities(regression, images, class_count)
    return answers


def rows_fitted(images: NDArray[np.uint8]) -> int:
    """How many of the images the regression is fitted on."""
    size: int = images[0].size
    return min(len(images), _MOST_ROWS, max(1, _MOST_VALUES // size))


def _all_probabilities(regression: Any, images: NDArray[np.uint8], class_count: int) -> Floats:
    blocks = [
        _probabilities(regression, _scaled(images[start : start + _ROWS_A_CALL]), class_count)
        for start in range(0, len(images), _ROWS_A_CALL)
    ]
    return np.concatenate(blocks)


def _probabilities(regression: Any, pixels: Floats, class_count: int) -> Floats:
    answers = np.zeros((len(pixels), class_count))
    answers[:, regression.classes_] = regression.predict_proba(pixels)
    return answers


def _spread(images: NDArray[np.uint8], labels: NDArray[Any]) -> tuple[Floats, NDArray[Any]]:
    chosen = np.linspace(0, len(labels) - 1, rows_fitted(images)).astype(int)
    return _scaled(images[chosen]), labels[chosen]


def _scaled(images: NDArray[np.uint8]) -> Floats:
    flat: Floats = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
    return flat
