"""How good the model is, read from a training run's evaluation and put into words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MODELS = (
    ("model", "Oriel"),
    ("logistic_regression", "Logistic regression"),
    ("recency_rule", "Recency rule"),
)

# Name in evaluation.json, name for people, whether more is better, what it says.
METRICS = (
    ("auc", "AUC", True, "ranks a buyer above a non-buyer this often"),
    ("pr_auc", "PR-AUC", True, "precision over all depths of a list"),
    ("log_loss", "Log loss", False, "surprise at what happened"),
    ("brier", "Brier score", False, "mean squared error of the probabilities"),
    ("calibration_error", "Calibration error", False, "probability less rate, by tenths"),
    ("accuracy", "Accuracy", True, "right at the 50% line"),
    ("recall", "Recall of churn", True, "share of those who left that were flagged"),
    ("precision", "Precision of churn", True, "share of those flagged that left"),
    ("f1", "F1 of churn", True, "balance of the two above"),
    ("mae", "Spend: mean absolute error", False, "in currency units a customer"),
    ("decile_mape", "Spend: error by tenths", False, "relative error of each tenth's total"),
    ("spearman", "Spend: rank correlation", True, "order of customers by spend"),
    ("normalised_gini", "Spend: normalised Gini", True, "spend found by going down the list"),
    ("segment_accuracy", "Segment: accuracy", True, "right segment of four"),
    ("segment_macro_f1", "Segment: macro F1", True, "all four segments counted alike"),
    ("segment_log_loss", "Segment: log loss", False, "surprise at the segment"),
)

_WORDS = ((0.9, "excellent"), (0.8, "very good"), (0.7, "good"), (0.6, "fair"), (0.0, "weak"))


@dataclass(frozen=True)
class Measure:
    """A number and its standard error; both NaN where a model has no such number."""

    value: float
    error: float


@dataclass(frozen=True)
class MetricRow:
    """One metric of every model, in the order of `MODELS`; `best` is the place of the best one."""

    title: str
    meaning: str
    measures: tuple[Measure, ...]
    best: int | None
    decimals: int


@dataclass(frozen=True)
class Comparison:
    """The model's AUC less a baseline's, on the same customers."""

    baseline: str
    difference: float
    error: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """What the difference means, for a person."""
        if self.low > 0:
            return f"better than the {self.baseline}, and not by chance"
        if self.high < 0:
            return f"behind the {self.baseline}, and not by chance"
        return f"as good as the {self.baseline}: the difference could be chance"


@dataclass(frozen=True)
class Quality:
    """How good the model is on a later window than it was fitted on."""

    auc: Measure
    word: str
    rows: tuple[MetricRow, ...]
    comparisons: tuple[Comparison, ...]
    lift: tuple[Mapping[str, float], ...]
    calibration: tuple[Mapping[str, float], ...]
    coverage: tuple[float, float] | None
    """Share of all customers, and of those who ordered, whose spend lay within the interval."""


def quality_of(evaluation: Mapping[str, Any]) -> Quality:
    """Reads an evaluation; whatever it does not hold is left out."""
    metrics: Mapping[str, Mapping[str, Any]] = evaluation.get("metrics", {})
    auc = _measure(metrics, "model", "auc")
    return Quality(
        auc=auc,
        word="unknown" if math.isnan(auc.value) else next(w for a, w in _WORDS if auc.value >= a),
        rows=tuple(
            row
            for name, title, is_more_better, meaning in METRICS
            if (row := _row(metrics, name, title, is_more_better, meaning)) is not None
        ),
        comparisons=tuple(
            Comparison(
                baseline=str(each["baseline"]).replace("_", " "),
                difference=_number(each["difference"]),
                error=_number(each["se"]),
                low=_number(each["low"]),
                high=_number(each["high"]),
            )
            for each in evaluation.get("comparisons", ())
            if each["metric"] == "auc" and each["low"] is not None and each["high"] is not None
        ),
        lift=tuple(evaluation.get("lift", ())),
        calibration=tuple(evaluation.get("calibration", ())),
        coverage=_coverage(evaluation.get("intervals", {}).get("metrics", {})),
    )


def _coverage(metrics: Mapping[str, Mapping[str, Any]]) -> tuple[float, float] | None:
    everyone, buyers = (
        _measure(metrics, "model", name).value for name in ("coverage", "coverage_of_buyers")
    )
    return None if math.isnan(everyone + buyers) else (everyone, buyers)


def _row(
    metrics: Mapping[str, Mapping[str, Any]],
    name: str,
    title: str,
    is_more_better: bool,
    meaning: str,
) -> MetricRow | None:
    measures = tuple(_measure(metrics, model, name) for model, _ in MODELS)
    values = [each.value if is_more_better else -each.value for each in measures]
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return None
    best = values.index(max(known)) if len(known) > 1 else None
    return MetricRow(title, meaning, measures, best, decimals=2 if name == "mae" else 3)


def _measure(metrics: Mapping[str, Mapping[str, Any]], model: str, name: str) -> Measure:
    entry = metrics.get(model, {}).get(name)
    if not isinstance(entry, Mapping):
        return Measure(math.nan, math.nan)
    return Measure(_number(entry.get("value")), _number(entry.get("se")))


def _number(value: object) -> float:
    """JSON has no NaN, so a number that could not be measured comes as null."""
    return float(value) if isinstance(value, int | float) else math.nan
