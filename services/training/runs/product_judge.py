"""Judgement of ranked products on a later window, beside plain rules on the same rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from services.training.evaluation.bootstrap import comparisons, draws, estimates, measure
from services.training.evaluation.probability import mean
from services.training.evaluation.ranking import Metric
from services.training.runs.judged import Judged
from services.training.runs.product_config import ANY, NEW
from shared.dataset.products import NONE, ProductRows

NumpyArray = np.ndarray[Any, Any]
PLACES = 10


def baselines(rows: ProductRows, features: Sequence[str]) -> dict[str, dict[str, NumpyArray]]:
    """Scores of plain rules by name and question, from the features the model has.

    Best sellers of the last month; own products by how often, then best sellers; for new products
    those most like all that the user ordered.
    """
    column = {name: rows.features[..., number] for number, name in enumerate(features)}
    sold = column["sold_30d"]
    frequency = 1e3 * column["own_orders"] + sold
    return {
        "best_sellers": {ANY: sold, NEW: sold},
        "own_then_best_sellers": {ANY: frequency, NEW: sold},
        "item_neighbours": {
            ANY: 1e3 * column["own"] + column["like_orders"],
            NEW: column["like_orders"],
        },
    }


def judge_products(
    said: Mapping[str, Mapping[str, NumpyArray]], rows: ProductRows, *, samples: int, seed: int
) -> dict[str, Any]:
    """Metrics with standard errors and paired differences over users who order.

    Args:
        said: Scores of "model" and of each rule, by question: [row, candidate].
        rows: The same rows; each user is there once.
        samples: Bootstrap samples over the users.
        seed: Of the samples.
    """
    drawn = draws(len(rows), samples, seed)
    scores = {name: measure(metrics_of(hits(each, rows)), drawn) for name, each in said.items()}
    return {
        "metrics": {name: estimates(each) for name, each in scores.items()},
        "comparisons": comparisons(scores),
        "users": len(rows),
        "candidates_hold": {
            ANY: _share(rows.is_ordered.sum(), rows.ordered.sum()),
            NEW: _share((rows.is_ordered & ~rows.is_own).sum(), rows.ordered_new.sum()),
        },
    }


def top_places(scores: NumpyArray, is_allowed: NumpyArray, count: int) -> NumpyArray:
    """Places of the highest scores of each row, best first; -1 where a row has fewer."""
    allowed = np.where(is_allowed, scores, -np.inf)
    best = np.argsort(-allowed, axis=1, kind="stable")[:, :count]
    return np.where(np.take_along_axis(is_allowed, best, axis=1), best, -1)


def judged_rows(said: Mapping[str, NumpyArray], rows: ProductRows) -> Judged:
    """How well each user's list did."""
    about = (rows.user_keys, rows.as_ofs, rows.ordered, rows.ordered_new)
    return Judged.of(about, hits(said, rows))


def metrics_of(values: Mapping[str, NumpyArray]) -> dict[str, Metric]:
    """The means of what lists did."""
    return {name: mean(each) for name, each in values.items()}


def hits(said: Mapping[str, NumpyArray], rows: ProductRows) -> dict[str, NumpyArray]:
    """Whether each user's list of each question hit, and how early."""
    is_any = rows.products != NONE
    questions = {
        ANY: (is_any, rows.ordered),
        NEW: (is_any & ~rows.is_own, rows.ordered_new),
    }
    found: dict[str, NumpyArray] = {}
    for name, (is_allowed, ordered) in questions.items():
        places = top_places(said[name], is_allowed, PLACES)
        hit = np.take_along_axis(rows.is_ordered, np.maximum(places, 0), axis=1) & (places >= 0)
        found[f"hit_rate_{name}"] = np.asarray(hit.any(axis=1), np.float64)
        found[f"ndcg_{name}"] = _ndcg(hit, ordered)
    return found


def _ndcg(hits: NumpyArray, ordered: NumpyArray) -> NumpyArray:
    """Discounted hits over what the best list would have; 0 where nothing was there to hit."""
    discount = 1 / np.log2(np.arange(2, PLACES + 2))
    ideal = np.concatenate([[np.inf], discount.cumsum()])[np.minimum(ordered, PLACES)]
    gained: NumpyArray = np.asarray((hits * discount[: hits.shape[1]]).sum(axis=1) / ideal)
    return gained


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
