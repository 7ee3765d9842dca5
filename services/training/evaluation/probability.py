"""Measures of probabilities and of the decisions taken from them."""

import numpy as np
from numpy.typing import NDArray

from services.training.evaluation.ranking import Floats, Metric

_LEAST = 1e-6
"""Log losses keep probabilities this far from 0 and 1: no single user can make one infinite."""


def log_loss(labels: NDArray[np.bool_], probabilities: Floats) -> Metric:
    """Mean of minus the log of the probability given to what happened, in nats."""
    kept = np.clip(probabilities.astype(np.float64), _LEAST, 1.0 - _LEAST)
    return mean(-np.where(labels, np.log(kept), np.log1p(-kept)))


def brier(labels: NDArray[np.bool_], probabilities: Floats) -> Metric:
    """Mean squared distance between the probability and what happened (0 or 1)."""
    return mean((probabilities.astype(np.float64) - labels) ** 2)


def decile_error(actual: Floats, predicted: Floats) -> Metric:
    """Mean relative error of the totals of ten equal parts of users by predicted amount.

    Parts in which nothing was seen are left out (Wang et al., 2019, "decile-level MAPE").
    """
    place = _equal_bins(predicted, 10)

    def metric(weights: Floats) -> float:
        seen = np.bincount(place, weights=weights * actual, minlength=10)
        said = np.bincount(place, weights=weights * predicted, minlength=10)
        some = seen > 0
        return float(np.abs(said[some] / seen[some] - 1.0).mean()) if some.any() else float("nan")

    return metric


def absolute_error(actual: Floats, predicted: Floats) -> Metric:
    """Mean distance between the amount expected and the amount seen, in their unit."""
    return mean(np.abs(actual.astype(np.float64) - predicted))


def accuracy(labels: NDArray[np.bool_], probabilities: Floats) -> Metric:
    """Share of users told right when 0.5 decides."""
    return mean((labels == (probabilities >= 0.5)).astype(np.float64))


def recall(labels: NDArray[np.bool_], probabilities: Floats) -> Metric:
    """Share found of those with the label when 0.5 decides."""
    return _share(labels & (probabilities >= 0.5), labels)


def precision(labels: NDArray[np.bool_], probabilities: Floats) -> Metric:
    """Share with the label of those told to have it when 0.5 decides."""
    return _share(labels & (probabilities >= 0.5), probabilities >= 0.5)


def f1(labels: NDArray[np.bool_], probabilities: Floats) -> Metric:
    """Harmonic mean of precision and recall when 0.5 decides; 0 when nothing is found."""
    return f1_of_decisions(labels, probabilities >= 0.5)


def f1_of_decisions(labels: NDArray[np.bool_], decisions: NDArray[np.bool_]) -> Metric:
    """Harmonic mean of precision and recall of given decisions; 0 when there is neither."""
    hits = (labels & decisions).astype(np.float64)
    either = labels.astype(np.float64) + decisions

    def metric(weights: Floats) -> float:
        total = float((weights * either).sum())
        return 2.0 * float((weights * hits).sum()) / total if total else 0.0

    return metric


def class_accuracy(classes: NDArray[np.integer], probabilities: Floats) -> Metric:
    """Share of users whose likeliest class is the one seen."""
    return mean((probabilities.argmax(axis=1) == classes).astype(np.float64))


def class_log_loss(classes: NDArray[np.integer], probabilities: Floats) -> Metric:
    """Mean of minus the log of the probability given to the class seen, in nats."""
    given = probabilities.astype(np.float64)[np.arange(len(classes)), classes]
    return mean(-np.log(np.clip(given, _LEAST, 1.0)))


def class_macro_f1(classes: NDArray[np.integer], probabilities: Floats) -> Metric:
    """Plain mean over all classes of each one's F1, the likeliest class being the decision."""
    return decided_macro_f1(classes, probabilities.argmax(axis=1), probabilities.shape[1])


def calibration_error(
    classes: NDArray[np.integer], probabilities: Floats, bins: int = 15
) -> Metric:
    """Expected calibration error of the likeliest class (Naeini et al., 2015): the mean distance
    between how sure the model was and how often it was right, over equal bins of sureness."""
    sure = probabilities.astype(np.float64).max(axis=1)
    gap = (probabilities.argmax(axis=1) == classes) - sure
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)

    def metric(weights: Floats) -> float:
        total = float(weights.sum())
        gaps = np.bincount(place, weights=weights * gap, minlength=bins)
        return float(np.abs(gaps).sum()) / total if total else float("nan")

    return metric


def decided_macro_f1(
    classes: NDArray[np.integer], decided: NDArray[np.integer], count: int
) -> Metric:
    """Plain mean over all classes of each one's F1, the decisions being given."""
    each = [f1_of_decisions(classes == number, decided == number) for number in range(count)]
    return lambda weights: sum(metric(weights) for metric in each) / count


def _equal_bins(values: Floats, bins: int) -> NDArray[np.intp]:
    """The bin of each value, bins of equal size by rising value."""
    place = np.empty(len(values), np.intp)
    order = np.argsort(values, kind="stable")
    for number, part in enumerate(np.array_split(order, bins)):
        place[part] = number
    return place


def mean(values: Floats) -> Metric:
    """Weighted mean of a value per user."""

    def metric(weights: Floats) -> float:
        total = float(weights.sum())
        return float((weights * values).sum()) / total if total else float("nan")

    return metric


def _share(hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> Metric:
    def metric(weights: Floats) -> float:
        total = float((weights * among).sum())
        return float((weights * hits).sum()) / total if total else float("nan")

    return metric
