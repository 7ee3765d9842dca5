"""Judgement of a model of images on the images kept for it, beside its baseline."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from services.training.evaluation.bootstrap import comparisons, draws, estimates, measure
from services.training.evaluation.probability import (
    calibration_error,
    class_accuracy,
    class_log_loss,
    class_macro_f1,
)
from services.training.evaluation.ranking import Metric
from services.training.evaluation.tables import calibration_table
from services.training.runs.judged import Judged

NumpyArray = np.ndarray[Any, Any]


def judge_images(
    said: Mapping[str, NumpyArray],
    labels: NumpyArray,
    classes: Sequence[str],
    *,
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """Metrics with standard errors, paired differences and tables.

    Args:
        said: Class probabilities of "model" and of each baseline: [row, class].
        labels: The classes seen.
        classes: Their names.
        samples: Bootstrap samples over the images.
        seed: Of the samples.
    """
    sampled = draws(len(labels), samples, seed)
    scores = {name: measure(_metrics(each, labels), sampled) for name, each in said.items()}
    model = said["model"]
    decided = model.argmax(axis=1)
    return {
        "metrics": {name: estimates(each) for name, each in scores.items()},
        "comparisons": comparisons(scores),
        "classes": list(classes),
        "confusion": confusion(labels, decided, len(classes)),
        "recall": {
            name: _recall(labels == number, decided == number)
            for number, name in enumerate(classes)
        },
        "calibration": calibration_table(model.max(axis=1), decided == labels),
    }


def confusion(labels: NumpyArray, decided: NumpyArray, class_count: int) -> list[list[int]]:
    """How often a class (row) was taken for each (column).

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    [[1, 1], [0, 1]]
    """
    pairs = np.bincount(labels * class_count + decided, minlength=class_count**2)
    rows: list[list[int]] = pairs.reshape(class_count, class_count).tolist()
    return rows


def judged_rows(said: NumpyArray, images: NumpyArray, labels: NumpyArray) -> Judged:
    """The class probabilities of each image and its class."""
    values = {"probabilities": said.astype(np.float32), "label_seen": labels}
    return Judged.of((images, labels), values)


def metrics_of(values: Mapping[str, NumpyArray]) -> dict[str, Metric]:
    """The metrics of rows that were kept."""
    return _metrics(values["probabilities"].astype(np.float64), values["label_seen"])


def _metrics(probabilities: NumpyArray, labels: NumpyArray) -> dict[str, Metric]:
    return {
        "accuracy": class_accuracy(labels, probabilities),
        "macro_f1": class_macro_f1(labels, probabilities),
        "log_loss": class_log_loss(labels, probabilities),
        "calibration_error": calibration_error(labels, probabilities),
    }


def _recall(is_of_class: NumpyArray, is_decided: NumpyArray) -> dict[str, Any]:
    """Share of a class that was told right, with its binomial standard error."""
    count = int(is_of_class.sum())
    if not count:
        return {"value": None, "se": None, "count": 0}
    share = float((is_of_class & is_decided).sum()) / count
    return {"value": share, "se": float(np.sqrt(share * (1 - share) / count)), "count": count}
