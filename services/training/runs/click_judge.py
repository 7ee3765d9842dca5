"""Judgement of ranked items on sessions that nothing was fitted to, beside plain rules there."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from services.training.evaluation.bootstrap import comparisons, draws, estimates, measure
from services.training.evaluation.ranking import Floats, Metric
from shared.dataset.clicks import NONE, ClickRows

NumpyArray = np.ndarray[Any, Any]
LISTED = 20
"""Places of a list."""


def judge_clicks(
    scores: NumpyArray, rows: ClickRows, rules: tuple[str, ...], *, samples: int, seed: int
) -> dict[str, Any]:
    """Metrics over clicks with standard errors and paired differences by bootstrap over sessions.

    Args:
        scores: Of the model [row, candidate].
        rows: The same rows.
        rules: Names of the rules whose places the rows hold.
        samples: Bootstrap samples over the sessions.
        seed: Of the samples.
    """
    numbers, sessions = np.unique(rows.sessions, return_inverse=True)
    places = {"model": places_of(scores, rows.answers)}
    places |= {name: rows.rule_places[:, number] for number, name in enumerate(rules)}
    drawn = draws(len(numbers), samples, seed)
    measured = {name: measure(_metrics(each, sessions), drawn) for name, each in places.items()}
    is_own = np.take_along_axis(rows.is_own, np.maximum(rows.answers, 0)[:, None], axis=1)[:, 0]
    return {
        "metrics": {name: estimates(each) for name, each in measured.items()},
        "comparisons": comparisons(measured),
        "clicks": len(rows),
        "sessions": len(numbers),
        "candidates_hold": float((rows.answers != NONE).mean()),
        "share_seen_before": float((is_own & (rows.answers != NONE)).mean()),
    }


def places_of(scores: NumpyArray, answers: NumpyArray) -> NumpyArray:
    """Where the answer stands in falling order of scores, from 1; 0 where it is no candidate."""
    place = np.maximum(answers, 0)[:, None]
    mine = np.take_along_axis(scores, place, axis=1)
    is_ahead = (scores > mine) | ((scores == mine) & (np.arange(scores.shape[1]) < place))
    return np.where(answers == NONE, 0, is_ahead.sum(axis=1) + 1)


def listed(scores: NumpyArray, items: NumpyArray) -> NumpyArray:
    """The items of the highest scores of each row, best first; `NONE` where a row has fewer."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :LISTED]
    return np.take_along_axis(items, best, axis=1)


def _metrics(places: NumpyArray, sessions: NumpyArray) -> dict[str, Metric]:
    """Means over clicks; `places` 0 stands for the end of all lists."""
    place = np.where(places == 0, np.inf, places)
    return {
        "hit_rate_10": _mean(place <= 10, sessions),
        "hit_rate_20": _mean(place <= LISTED, sessions),
        "ndcg_10": _mean(np.where(place <= 10, 1 / np.log2(1 + place), 0.0), sessions),
        "mrr_20": _mean(np.where(place <= LISTED, 1 / place, 0.0), sessions),
    }


def _mean(values: NumpyArray, sessions: NumpyArray) -> Metric:
    """The mean over clicks, under a weight for each session."""
    total, count = np.bincount(sessions, weights=values), np.bincount(sessions)

    def metric(weights: Floats) -> float:
        return float((total * weights).sum() / (count * weights).sum())

    return metric


def gained(judged: Mapping[str, Any], metric: str) -> Mapping[str, Any]:
    """The model's difference to the rule that does best by a metric."""
    return min(
        (each for each in judged["comparisons"] if each["metric"] == metric),
        key=lambda each: float(each["difference"]),
    )
