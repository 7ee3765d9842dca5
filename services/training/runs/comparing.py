"""Two versions of one question side by side: which of the two does better, and how sure that is."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.training.evaluation.bootstrap import Difference, Estimate, draws, measure
from services.training.evaluation.ranking import Metric
from services.training.runs import image_judge, judge, product_judge, table_judge, wait_judge
from services.training.runs.judged import JUDGED_FILE, SEEN, Judged, NumpyArray
from services.training.runs.settings import differing, text
from shared.dataset.images import KIND as IMAGES
from shared.dataset.products import KIND as PRODUCTS
from shared.dataset.tables import KIND as TABLE
from shared.errors import InvalidArgumentError
from shared.features.waits import KIND as WAITS
from shared.registry import ModelVersion

MORE_IS_BETTER = frozenset(
    (
        *("accuracy", "auc", "concordance", "f1", "hit_rate_any", "hit_rate_new", "macro_f1"),
        *("ndcg_any", "ndcg_new", "normalised_gini", "pr_auc", "precision", "recall"),
        *("segment_accuracy", "segment_macro_f1", "spearman"),
    )
)
LESS_IS_BETTER = frozenset(
    (
        *("brier", "calibration_error", "decile_mape", "integrated_brier", "interval_score"),
        *("log_loss", "mae", "pinball_days", "segment_log_loss"),
    )
)
"""A metric in neither is meant to be near a number: there is no better one of two."""

_SAMPLES, _SEED = 400, 0
_USERS, _SEGMENT = "users", "segment"
_QUESTION = ("kind", "horizon_days", "awaited", "currency", "target", "positive", "classes")

_METRICS: Mapping[str, Callable[[Mapping[str, NumpyArray], int], dict[str, Metric]]] = {
    _USERS: lambda values, _: judge.metrics_of(values),
    WAITS: wait_judge.metrics_of,
    TABLE: lambda values, _: table_judge.metrics_of(values),
    PRODUCTS: lambda values, _: product_judge.metrics_of(values),
    IMAGES: lambda values, _: image_judge.metrics_of(values),
}


@dataclass(frozen=True)
class Pair:
    """One metric of both versions.

    Attributes:
        metric: Its name.
        first: Of the first version.
        second: Of the second.
        difference: The second's minus the first's on the same rows; None where there are none.
        verdict: Whether the second is "better", "worse" or a "tie", by whether the interval of the
            difference leaves out 0; empty where that cannot be said.
    """

    metric: str
    first: Estimate
    second: Estimate
    difference: Difference | None = None
    verdict: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two versions of one question.

    Attributes:
        pairs: Every metric that both have.
        row_count: Rows that both were judged on.
        unpaired: Why there are no differences; empty where there are.
        settings: What differs in configuration and data: name, of the first, of the second.
    """

    pairs: tuple[Pair, ...]
    row_count: int
    unpaired: str
    settings: tuple[tuple[str, str, str], ...]


def compare(first: ModelVersion, second: ModelVersion) -> Comparison:
    """Set two versions side by side.

    Raises:
        InvalidArgumentError: They answer different questions; the message says in what.
    """
    kind = _one_question(first, second)
    one, other = (json.loads(each.read("evaluation.json")) for each in (first, second))
    settings = differing(first, second, (one.get("fold", {}), other.get("fold", {})))
    rows = [_rows(each) for each in (first, second)]
    unpaired = _unpaired((first, second), rows, (one, other))
    if unpaired:
        return Comparison(_side_by_side(one, other), 0, unpaired, settings)
    values = _shared([each for each in rows if each is not None])
    horizon_days = int(first.manifest.get("horizon_days", 0))
    count = len(next(iter(values[0].values())))
    unlike = _unlike(*values)
    if unlike - {_SEGMENT}:
        why = "what happened was known otherwise when the second was trained: import, then train"
        return Comparison(_side_by_side(one, other), 0, why, settings)
    metrics = [_METRICS[kind](each, horizon_days) for each in values]
    return Comparison(_paired(metrics, count, unlike), count, "", settings)


def verdict(metric: str, difference: Difference) -> str:
    """Whether the second is better, by the middle 95 % of bootstrap differences.

    >>> verdict("log_loss", Difference(-0.02, 0.005, -0.03, -0.01))
    'better'
    >>> verdict("auc", Difference(0.01, 0.01, -0.01, 0.03))
    'tie'
    """
    if metric not in MORE_IS_BETTER | LESS_IS_BETTER or not np.isfinite(difference.low):
        return ""
    if difference.low <= 0.0 <= difference.high:
        return "tie"
    return "better" if (difference.low > 0.0) == (metric in MORE_IS_BETTER) else "worse"


def _one_question(first: ModelVersion, second: ModelVersion) -> str:
    """The kind of question that both answer."""
    for key in _QUESTION:
        one, other = (each.manifest.get(key) for each in (first, second))
        if one != other:
            raise InvalidArgumentError(
                f"{first.name} and {second.name} answer different questions: {key} is "
                f"{text(one) or 'not set'} in the first and {text(other) or 'not set'} in the "
                "second; compare versions of one prediction file",
                reason="QUESTIONS_DIFFER",
                first=first.name,
                second=second.name,
                field=key,
            )
    return str(first.manifest.get("kind", _USERS))


def _rows(version: ModelVersion) -> Judged | None:
    has_rows = JUDGED_FILE in version.manifest["files"]
    return Judged.read(version.read(JUDGED_FILE)) if has_rows else None


def _unpaired(
    versions: Sequence[ModelVersion],
    rows: Sequence[Judged | None],
    evaluations: Sequence[Mapping[str, Any]],
) -> str:
    """Why two versions have no rows in common; empty where they have."""
    first, second = rows
    if first is None or second is None:
        names = [each.name for each, kept in zip(versions, rows, strict=True) if kept is None]
        mend = "; train again" if versions[0].manifest.get("kind", _USERS) in _METRICS else ""
        return f"{' and '.join(names)} did not keep what was judged{mend}"
    is_same = np.array_equal(first.population, second.population)
    if is_same and np.intersect1d(first.places, second.places).size:
        return ""
    told = []
    for kept, evaluation in zip((first, second), evaluations, strict=True):
        as_of = evaluation.get("fold", {}).get("test_as_of")
        told.append(f"{len(kept.places):,} rows" + (f" at {as_of}" if as_of else ""))
    return f"they were judged on different rows: {' and '.join(told)}"


def _shared(rows: Sequence[Judged]) -> list[Mapping[str, NumpyArray]]:
    """The values of the rows that both have."""
    _, *chosen = np.intersect1d(
        rows[0].places, rows[1].places, assume_unique=True, return_indices=True
    )
    return [each.at(here) for each, here in zip(rows, chosen, strict=True)]


def _unlike(first: Mapping[str, NumpyArray], second: Mapping[str, NumpyArray]) -> set[str]:
    """What happened, where the two see it differently, such as where value segments end."""
    names = [name for name in first if name.endswith(SEEN)]
    return {
        name.removesuffix(SEEN)
        for name in names
        if not np.array_equal(first[name], second[name], equal_nan=True)
    }


def _paired(
    metrics: Sequence[Mapping[str, Metric]], count: int, unlike: set[str]
) -> tuple[Pair, ...]:
    sampled = draws(count, _SAMPLES, _SEED)
    first, second = (measure(each, sampled) for each in metrics)
    names = [name for name in first.values if not any(name.startswith(f"{u}_") for u in unlike)]
    differences = {name: second.minus(first, name) for name in names}
    return tuple(
        Pair(name, first.estimate(name), second.estimate(name), each, verdict(name, each))
        for name, each in differences.items()
    )


def _side_by_side(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Pair, ...]:
    one, other = (each["metrics"]["model"] for each in (first, second))
    return tuple(
        Pair(name, _estimate(one[name]), _estimate(other[name])) for name in one if name in other
    )


def _estimate(told: Mapping[str, Any]) -> Estimate:
    value, error = (float("nan") if each is None else each for each in (told["value"], told["se"]))
    return Estimate(value, error)
