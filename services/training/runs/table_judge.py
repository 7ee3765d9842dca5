"""Judgement of an ensemble by cross-validation, beside its baselines."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.naive_bayes import MultinomialNB
from threadpoolctl import threadpool_limits

from services.training.evaluation.baselines import Split, fit_logistic
from services.training.evaluation.bootstrap import comparisons, draws, estimates, measure
from services.training.evaluation.calibrated import chance_limit, equal_mass_error
from services.training.evaluation.probability import (
    accuracy,
    brier,
    f1,
    log_loss,
    precision,
    recall,
)
from services.training.evaluation.ranking import Metric, auc, average_precision
from services.training.evaluation.tables import calibration_table, lift_table, lift_word
from services.training.runs.judged import Judged
from services.training.runs.table_answer import predict_table
from services.training.runs.table_members import (
    Reading,
    TableFitted,
    groups_within,
    line_over_terms,
)
from shared.dataset.tables import TableRows
from shared.errors import FailedPreconditionError

NumpyArray = np.ndarray[Any, Any]

_ROWS_A_CALL = 1_024


def answers(fitted: TableFitted, rows: TableRows) -> NumpyArray:
    """The probability of each row, by the function that is exported."""
    run = jax.jit(predict_table(fitted.shape))
    inputs, said = fitted.reading.raw(rows), []
    for start in range(0, len(rows), _ROWS_A_CALL):
        few = np.arange(start, min(start + _ROWS_A_CALL, len(rows)))
        full = np.resize(few, _ROWS_A_CALL)
        outputs = run(dict(fitted.weights), {name: value[full] for name, value in inputs.items()})
        said.append(np.asarray(outputs["probability"], np.float64)[: len(few)])
    return np.concatenate(said)


def baselines(reading: Reading, train: TableRows, test: TableRows) -> dict[str, NumpyArray]:
    """What plain models that are fitted to the same rows say of the rows that judge."""
    known, asked, labels = reading.design(train), reading.design(test), train.labels
    branches = reading.branches(train)
    if branches is None:
        line = line_over_terms(known, labels)
        counts = MultinomialNB().fit(known, labels)
        return {
            "logistic_regression": _sigmoid(asked @ line[:-1] + line[-1]),
            "naive_bayes": counts.predict_proba(asked)[:, 1],
        }
    part = groups_within(train) == 0
    straight = fit_logistic(known, labels, [Split(fit=~part, judge=part)])
    with threadpool_limits(1):
        boosted = HistGradientBoostingClassifier(random_state=0).fit(branches, labels)
    return {
        "logistic_regression": straight.probabilities(asked),
        "gradient_boosting": boosted.predict_proba(reading.branches(test))[:, 1],
    }


def require_apart(train: TableRows, test: TableRows) -> None:
    """Refuse a fold that judges on rows it was fitted to, or on rows that belong with such.

    Raises:
        FailedPreconditionError: Names the first of the groups of rows on both sides.
    """
    both = np.intersect1d(train.groups, test.groups)
    if len(both):
        raise FailedPreconditionError(
            f"{len(both)} groups of rows are both fitted on and judged on, the first is "
            f"{both[0]:016x}; rows of one id, or that are all the same, must stay in one fold",
            reason="ROWS_IN_BOTH_HALVES",
            groups=len(both),
        )


def judge_table(
    said: Mapping[str, NumpyArray], labels: NumpyArray, *, samples: int, seed: int
) -> dict[str, Any]:
    """Metrics with standard errors, paired differences and tables.

    Args:
        said: Probabilities of "model" and of each baseline, each row's from the fold without it.
        labels: The answers.
        samples: Bootstrap samples over the rows.
        seed: Of the samples.
    """
    sampled = draws(len(labels), samples, seed)
    scores = {name: measure(metrics(each, labels), sampled) for name, each in said.items()}
    model = said["model"]
    return {
        "metrics": {name: estimates(each) for name, each in scores.items()},
        "comparisons": comparisons(scores),
        "lift": lift_table(model, labels, labels.astype(np.float64)),
        "lift_word": lift_word(scores["model"].values["auc"]),
        "calibration": calibration_table(model, labels),
        "calibration_limit": chance_limit(model, samples=samples, seed=seed),
    }


def judged_rows(said: NumpyArray, rows: TableRows, is_judged: NumpyArray) -> Judged:
    """What was said of the rows that were judged, among all that folds were made of."""
    order = np.argsort(rows.places)
    values = {"probability": said.astype(np.float32), "label_seen": rows.labels}
    here = np.flatnonzero(is_judged[order])
    chosen = order[here]
    return Judged.of(
        (rows.labels[order],), {name: each[chosen] for name, each in values.items()}, here
    )


def metrics_of(values: Mapping[str, NumpyArray]) -> dict[str, Metric]:
    """The metrics of rows that were kept."""
    return metrics(values["probability"].astype(np.float64), values["label_seen"])


def metrics(said: NumpyArray, labels: NumpyArray) -> dict[str, Metric]:
    """All metrics of probabilities, by name."""
    return {
        "auc": auc(labels, said),
        "pr_auc": average_precision(labels, said),
        "log_loss": log_loss(labels, said),
        "brier": brier(labels, said),
        "calibration_error": equal_mass_error(labels, said),
        "accuracy": accuracy(labels, said),
        "recall": recall(labels, said),
        "precision": precision(labels, said),
        "f1": f1(labels, said),
    }


def _sigmoid(logits: NumpyArray) -> NumpyArray:
    said: NumpyArray = 1.0 / (1.0 + np.exp(-logits))
    return said
