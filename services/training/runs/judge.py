"""Judgement of an ensemble on a later instant, beside its baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from services.training.evaluation.baselines import (
    fit_logistic,
    fit_recency,
    recency_scores,
)
from services.training.evaluation.bootstrap import comparisons, draws, estimates, measure
from services.training.evaluation.calibrated import chance_limit, equal_mass_error
from services.training.evaluation.intervals import Intervals, cell_intervals, interval_metrics
from services.training.evaluation.probability import (
    absolute_error,
    accuracy,
    brier,
    class_accuracy,
    class_log_loss,
    decided_macro_f1,
    decile_error,
    f1,
    log_loss,
    precision,
    recall,
)
from services.training.evaluation.ranking import (
    Metric,
    auc,
    average_precision,
    normalised_gini,
    spearman,
)
from services.training.evaluation.tables import calibration_table, lift_table, lift_word
from services.training.runs.answer import predict
from services.training.runs.ensemble import Limits
from services.training.runs.heads import segments
from services.training.runs.judged import Judged, Judgement
from services.training.runs.linear import splits
from services.training.runs.members import Fitted
from services.training.runs.rows import NumpyArray, Rows, ages_weight
from services.training.runs.scaling import scale_rows

RECENCY_FEATURE = "recency_days"
ORDERS_FEATURE = "orders_ever"


@dataclass(frozen=True)
class Answer:
    """What a model or a baseline says of the test rows.

    Attributes:
        active: Probability of an order in the horizon.
        ranking: Higher is more likely active; None means that `active` ranks.
        spend: Expected spend in currency units.
        segments: Probabilities of the four segments.
        segment: The segment decided on; None means the likeliest.
        intervals: Of the spend; None where none is said.
    """

    active: NumpyArray
    spend: NumpyArray
    segments: NumpyArray
    ranking: NumpyArray | None = None
    segment: NumpyArray | None = None
    intervals: Intervals | None = None


def answers(fitted: Fitted, rows: Rows) -> Answer:
    """The ensemble's answer, by the function that is exported."""
    outputs = jax.jit(predict(fitted.network))(dict(fitted.weights), rows.features, rows.eligible)
    return Answer(
        active=np.asarray(outputs["active_probability"], np.float64),
        spend=np.asarray(outputs["expected_value"], np.float64),
        segments=np.asarray(outputs["segment_probabilities"], np.float64),
        segment=np.asarray(outputs["segment"]).astype(np.int64),
        intervals=Intervals(
            np.asarray(outputs["value_low"], np.float64),
            np.asarray(outputs["value_high"], np.float64),
        ),
    )


def judge(
    fitted: Fitted,
    train: Rows,
    test: Rows,
    limits: Limits,
    *,
    feature_names: Sequence[str],
    horizon_days: int,
    half_life_days: float,
    samples: int,
    seed: int,
) -> Judgement:
    """Metrics with standard errors, paired differences and tables; eligible users only.

    A number that is not defined is None.
    """
    train, test = train.where(train.eligible), test.where(test.eligible)
    said = {"model": answers(fitted, test)}
    said |= _baselines(fitted, train, test, limits, feature_names, horizon_days, half_life_days)
    sampled = draws(len(test), samples, seed)
    classes = segments(test.spend, limits)
    scores = {
        name: measure(metrics(answer, test.spend, classes), sampled)
        for name, answer in said.items()
    }
    model = said["model"]
    plain = _cells(train, test, feature_names)
    evaluation = {
        "metrics": {name: estimates(each) for name, each in scores.items()},
        "comparisons": comparisons(scores),
        "lift": lift_table(model.active, test.is_active, test.spend),
        "lift_word": lift_word(scores["model"].values["auc"]),
        "calibration": calibration_table(model.active, test.is_active),
        "calibration_error_by_chance": chance_limit(model.active, samples=samples, seed=seed),
        "intervals": _intervals({"model": model.intervals, "cells": plain}, test, sampled),
        "forecast": {
            "predicted_active": float(model.active.sum()),
            "actual_active": int(test.is_active.sum()),
            "predicted_spend_micros": round(float(model.spend.sum()) * 1e6),
            "actual_spend_micros": round(float(test.spend.sum()) * 1e6),
        },
    }
    return Judgement(evaluation, _kept(model, test, classes))


def metrics_of(values: Mapping[str, NumpyArray]) -> dict[str, Metric]:
    """The metrics of rows that were kept, those of their intervals included."""
    wide = {name: each.astype(np.float64) for name, each in values.items()}
    answer = Answer(
        active=wide["active"],
        spend=wide["spend"],
        segments=wide["segments"],
        segment=values["segment"],
    )
    spend = wide["spend_seen"]
    return {
        **metrics(answer, spend, values["segment_seen"]),
        **interval_metrics(spend, Intervals(wide["low"], wide["high"])),
    }


def _kept(answer: Answer, test: Rows, classes: NumpyArray) -> Judged:
    assert answer.intervals is not None
    assert answer.segment is not None
    said = {
        "active": answer.active,
        "spend": answer.spend,
        "segments": answer.segments,
        "low": answer.intervals.low,
        "high": answer.intervals.high,
    }
    return Judged.of(
        (test.user_keys, test.as_ofs),
        {
            **{name: each.astype(np.float32) for name, each in said.items()},
            "segment": answer.segment.astype(np.uint8),
            "spend_seen": test.spend,
            "segment_seen": classes.astype(np.uint8),
        },
    )


def metrics(answer: Answer, spend: NumpyArray, classes: NumpyArray) -> dict[str, Metric]:
    """All metrics of an answer, by name.

    Churn is the label of the ranking and decision metrics: True where there was no order.

    Args:
        answer: What was said of each row.
        spend: What was spent.
        classes: The segment that this is in.
    """
    churned, churn = ~(spend > 0), 1.0 - answer.active
    ranking = churn if answer.ranking is None else -answer.ranking
    decided = answer.segments.argmax(axis=1) if answer.segment is None else answer.segment
    return {
        "auc": auc(churned, ranking),
        "pr_auc": average_precision(churned, ranking),
        "log_loss": log_loss(churned, churn),
        "brier": brier(churned, churn),
        "calibration_error": equal_mass_error(churned, churn),
        "accuracy": accuracy(churned, churn),
        "recall": recall(churned, churn),
        "precision": precision(churned, churn),
        "f1": f1(churned, churn),
        "mae": absolute_error(spend, answer.spend),
        "decile_mape": decile_error(spend, answer.spend),
        "spearman": spearman(spend, answer.spend),
        "normalised_gini": normalised_gini(spend, answer.spend),
        "segment_accuracy": class_accuracy(classes, answer.segments),
        "segment_macro_f1": decided_macro_f1(classes, decided, answer.segments.shape[1]),
        "segment_log_loss": class_log_loss(classes, answer.segments),
    }


def _cells(train: Rows, test: Rows, feature_names: Sequence[str]) -> Intervals | None:
    """Intervals by cell of recency and frequency; None without these features."""
    if not {RECENCY_FEATURE, ORDERS_FEATURE} <= set(feature_names):
        return None
    columns = [list(feature_names).index(name) for name in (RECENCY_FEATURE, ORDERS_FEATURE)]
    return cell_intervals(train.features[:, columns], train.spend, test.features[:, columns])


def _intervals(
    said: Mapping[str, Intervals | None], test: Rows, sampled: NumpyArray
) -> dict[str, Any]:
    scores = {
        name: measure(interval_metrics(test.spend, each), sampled)
        for name, each in said.items()
        if each is not None
    }
    return {
        "metrics": {name: estimates(each) for name, each in scores.items()},
        "comparisons": comparisons(scores),
    }


def _baselines(
    fitted: Fitted,
    train: Rows,
    test: Rows,
    limits: Limits,
    feature_names: Sequence[str],
    horizon_days: int,
    half_life_days: float,
) -> dict[str, Answer]:
    scaled = scale_rows(train.features, fitted.scaling)
    logistic = fit_logistic(scaled, train.is_active, splits(train, horizon_days))
    said = logistic.probabilities(scale_rows(test.features, fitted.scaling))
    baselines = {"logistic_regression": _with_means(said, train, limits, half_life_days)}
    if RECENCY_FEATURE in feature_names:
        column = list(feature_names).index(RECENCY_FEATURE)
        rule = fit_recency(train.features[:, column], train.is_active)
        days = test.features[:, column]
        baselines["recency_rule"] = _with_means(
            rule.probabilities(days), train, limits, half_life_days, recency_scores(days)
        )
    return baselines


def _with_means(
    active: NumpyArray,
    train: Rows,
    limits: Limits,
    half_life_days: float,
    ranking: NumpyArray | None = None,
) -> Answer:
    """Round a baseline's probability off: mean spend and class shares of active training rows."""
    spenders = train.where(train.is_active)
    weights = ages_weight(spenders.as_ofs, half_life_days).astype(np.float64)
    spend = float(np.average(spenders.spend, weights=weights))
    classes = segments(spenders.spend, limits)
    shares = np.bincount(classes, weights=weights, minlength=4)[1:] / weights.sum()
    return Answer(
        active=active,
        spend=active * spend,
        segments=np.concatenate([1.0 - active[:, None], active[:, None] * shares], axis=1),
        ranking=ranking,
    )
