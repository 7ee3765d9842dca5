"""Judgement on a later instant of when something happens, beside plain rules."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.evaluation.baselines import fit_logistic
from services.training.evaluation.bootstrap import comparisons, draws, estimates, measure
from services.training.evaluation.calibrated import chance_limit, equal_mass_error
from services.training.evaluation.probability import brier, log_loss
from services.training.evaluation.ranking import Metric, auc, average_precision
from services.training.evaluation.tables import calibration_table, lift_word
from services.training.evaluation.waits import (
    cell_chances,
    concordance,
    coverage,
    integrated_brier,
    pinball,
)
from services.training.runs.judged import Judged, Judgement
from services.training.runs.linear import splits
from services.training.runs.returning import said
from services.training.runs.rows import NumpyArray, thin
from services.training.runs.scaling import fit_scaling, scale_rows
from services.training.runs.wait_answer import predict_waits
from services.training.runs.wait_curve import LEVELS, PARTS, parts_of
from services.training.runs.wait_members import FittedWaits
from services.training.runs.wait_rows import WaitRows

_MOST_ROWS = 40_000
"""Rows a regression is fitted to; more are thinned, as for members."""

_RECENCY, _ORDERS, _GAP = "recency_days", "orders_ever", "gap_mean_days"


def judge_waits(
    fitted: FittedWaits,
    train: WaitRows,
    test: WaitRows,
    *,
    feature_names: Sequence[str],
    is_of_orders: bool,
    samples: int,
    seed: int,
) -> Judgement:
    """Metrics with standard errors, paired differences and tables; eligible users only.

    A number that is not defined is None.
    """
    train, test = train.eligible, test.eligible
    horizon_days = fitted.network.horizon_days
    model = answers(fitted, test)
    chances = {"model": model["chances"]}
    chances |= _baselines(fitted, train, test, list(feature_names), is_of_orders=is_of_orders)
    drawn = draws(len(test), samples, seed)
    scores = {
        name: measure(_metrics(each, test.days, horizon_days), drawn)
        for name, each in chances.items()
    }
    happens, happened = model["chances"][:, -1], test.rows.is_active
    evaluation: dict[str, Any] = {
        "metrics": {name: estimates(each) for name, each in scores.items()},
        "comparisons": comparisons(scores),
        "lift_word": lift_word(scores["model"].values["auc"]),
        "calibration": calibration_table(happens, happened),
        "calibration_error_by_chance": chance_limit(happens, samples=samples, seed=seed),
        "forecast": {
            "predicted_by_third": [
                float(each) for each in model["chances"].sum(axis=0)[PARTS // 3 - 1 :: PARTS // 3]
            ],
            "actual_by_third": [
                int((test.days < horizon_days * third / 3).sum()) for third in (1, 2, 3)
            ],
        },
    }
    values = {"chances": model["chances"].astype(np.float32), "days_seen": test.days}
    return Judgement(evaluation, Judged.of((test.rows.user_keys, test.rows.as_ofs), values))


def metrics_of(values: Mapping[str, NumpyArray], horizon_days: int) -> dict[str, Metric]:
    """The metrics of rows that were kept."""
    return _metrics(values["chances"].astype(np.float64), values["days_seen"], horizon_days)


def answers(fitted: FittedWaits, waits: WaitRows) -> dict[str, NumpyArray]:
    """The ensemble's answer, by the function that is exported."""
    rows = waits.rows
    run = jax.jit(predict_waits(fitted.network))
    outputs = run(dict(fitted.weights), rows.features, rows.eligible)
    return {name: np.asarray(each, np.float64) for name, each in outputs.items()}


def _metrics(chances: NumpyArray, days: NumpyArray, horizon_days: int) -> dict[str, Metric]:
    happened, happens = np.isfinite(days), chances[:, -1]
    parts = parts_of(days, horizon_days)
    return {
        "concordance": concordance(parts, chances),
        "integrated_brier": integrated_brier(parts, chances),
        "pinball_days": pinball(days, chances, horizon_days, LEVELS),
        "coverage": coverage(days, chances, horizon_days, LEVELS[0], LEVELS[-1]),
        "auc": auc(happened, happens),
        "pr_auc": average_precision(happened, happens),
        "log_loss": log_loss(happened, happens),
        "brier": brier(happened, happens),
        "calibration_error": equal_mass_error(happened, happens),
    }


def _baselines(
    fitted: FittedWaits,
    train: WaitRows,
    test: WaitRows,
    names: Sequence[str],
    *,
    is_of_orders: bool,
) -> dict[str, NumpyArray]:
    """Chances by part of plain rules; those that read orders are for orders alone."""
    horizon_days = fitted.network.horizon_days
    parts = parts_of(train.days, horizon_days)
    ends = horizon_days * np.arange(1, PARTS + 1) / PARTS
    found = {"logistic_regression": _logistic(train, test, parts, horizon_days)}
    if not is_of_orders:
        return found
    if {_RECENCY, _ORDERS} <= set(names):
        columns = [names.index(name) for name in (_RECENCY, _ORDERS)]
        known, asked = train.rows.features[:, columns], test.rows.features[:, columns]
        found["cells"] = cell_chances(known, parts, asked, PARTS)
    if _GAP in names:
        column = names.index(_GAP)
        usual = float(np.nanmean(train.rows.features[:, column]))
        gaps = np.nan_to_num(test.rows.features[:, column].astype(np.float64), nan=usual)
        found["own_mean_gap"] = -np.expm1(-ends[None, :] / np.maximum(gaps, 1.0)[:, None])
    if fitted.returning is not None:
        orders = jnp.asarray(fitted.returning.orders)
        values = jnp.asarray(fitted.returning.values)
        history = jnp.asarray(test.rows.features[:, test.rows.history])
        logits = [said(orders, values, history, float(end))[0] for end in ends]
        found["bg_nbd"] = np.asarray(jax.nn.sigmoid(jnp.stack(logits, axis=1)), np.float64)
    return found


def _logistic(train: WaitRows, test: WaitRows, parts: NumpyArray, horizon_days: int) -> NumpyArray:
    """Logistic regression on whether it happens, spread over the horizon as in training."""
    scaling = fit_scaling(train.rows.features, train.rows.steps)
    kept, _ = thin(np.ones(len(train), np.float32), train.rows.user_keys, _MOST_ROWS)
    rows = train.rows.where(kept)
    model = fit_logistic(
        scale_rows(rows.features, scaling), rows.is_active, splits(rows, horizon_days)
    )
    happens = model.probabilities(scale_rows(test.rows.features, scaling))
    happened = parts[parts < PARTS]
    share = (happened[:, None] <= np.arange(PARTS)).mean(axis=0)
    chances: NumpyArray = happens[:, None] * share
    return chances
