"""Predict for every user of a scoring dataset, log it once, and leave a file."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from services.inference.domain.persons import UNKNOWN
from services.inference.domain.prediction import ModelFacts, Outputs
from services.inference.domain.reasons import Wording, ineligible_reason
from services.inference.domain.scoring import percentiles, prediction_ids
from services.inference.domain.snapshot import FeatureSnapshot, check_fits
from services.inference.usecases.answer_file import answer_path
from services.inference.usecases.ports import Datasets, Model, Models, PredictionLog
from services.inference.usecases.telling import as_json, reasons_of
from shared.jobs import JobContext

BLOCK_ROWS = 1024
"""Rows predicted between two looks at whether a caller asked to stop."""

WRITE_ROWS = 32 * BLOCK_ROWS
"""Rows logged at once; what a crash may have to do again."""

PREDICTIONS = pa.schema(
    [
        ("prediction_id", pa.string()),
        ("user_key", pa.uint64()),
        ("model_version", pa.string()),
        ("feature_set_version", pa.string()),
        ("dataset_hash", pa.string()),
        ("as_of", pa.timestamp("ms", "UTC")),
        ("horizon_end", pa.timestamp("ms", "UTC")),
        ("active_probability", pa.float64()),
        ("churn_probability", pa.float64()),
        ("percentile", pa.float64()),
        ("expected_value_micros", pa.int64()),
        ("segment_probabilities", pa.list_(pa.float64())),
        ("segment", pa.int8()),
        ("value_low_micros", pa.int64()),
        ("value_high_micros", pa.int64()),
        ("eligible", pa.bool_()),
        ("ineligible_reason", pa.string()),
        ("reasons", pa.string()),
    ]
)
"""Columns of the table and of the file."""


class BatchPredictor:
    """Predicts for all users of a dataset; run again, it adds only what is not logged yet.

    Args:
        models: Published models.
        datasets: Scoring datasets.
        log: Where predictions are logged.
        wording: How features are told.
        folder: Where files are left.
        workers: Threads that look for reasons, by far the longest part.
    """

    def __init__(
        self,
        models: Models,
        datasets: Datasets,
        log: PredictionLog,
        wording: Wording,
        folder: Path,
        workers: int = 2,
    ) -> None:
        self._models, self._datasets, self._log = models, datasets, log
        self._wording, self._folder, self._workers = wording, folder, workers

    def run(self, model_version: str, dataset: str, context: JobContext) -> Mapping[str, Any]:
        """Do all of it; progress counts users."""
        context.progress(0, 0, "users", "reading features")
        model = self._models.load(model_version)
        snapshot = self._datasets.read(dataset)
        check_fits(snapshot, model.facts)
        context.update(as_of=snapshot.as_of.isoformat())
        outputs = _predict(model, snapshot, context)
        self._log_missing(model, snapshot, outputs, context)
        user_count = len(snapshot.user_keys)
        context.progress(user_count, user_count, "users", "writing the file")
        path = answer_path(self._folder, model.facts.name, dataset)
        written = self._log.export(model.facts.name, snapshot, path)
        if written != user_count:
            raise RuntimeError(f"{written} predictions logged for {user_count} users")
        return {"uri": str(path), "prediction_count": user_count}

    def _log_missing(
        self, model: Model, snapshot: FeatureSnapshot, outputs: Outputs, context: JobContext
    ) -> None:
        user_count = len(snapshot.user_keys)
        ranks = percentiles(outputs.active_probability)
        is_missing = np.ones(user_count, np.bool_)
        logged = snapshot.slots(self._log.user_keys(model.facts.name, snapshot.as_of))
        is_missing[logged[logged != UNKNOWN]] = False
        missing = np.flatnonzero(is_missing)
        done = user_count - len(missing)
        with ThreadPoolExecutor(self._workers, thread_name_prefix="reasons") as pool:
            for start in range(0, len(missing), WRITE_ROWS):
                rows = missing[start : start + WRITE_ROWS]
                blocks = np.split(rows, range(BLOCK_ROWS, len(rows), BLOCK_ROWS))
                found = pool.map(partial(self._reasons, model, snapshot, context), blocks)
                reasons: list[str] = []
                for texts in found:
                    reasons += texts
                    context.progress(done + len(reasons), user_count, "users", "predicting")
                self._log.append(_table(model.facts, snapshot, outputs, ranks, rows, reasons))
                done += len(rows)

    def _reasons(
        self, model: Model, snapshot: FeatureSnapshot, context: JobContext, rows: NDArray[np.intp]
    ) -> list[str]:
        context.raise_if_cancelled()
        found = reasons_of(model, snapshot.values[rows], snapshot.eligible[rows], self._wording)
        return [as_json(of_row) for of_row in found]


def _predict(model: Model, snapshot: FeatureSnapshot, context: JobContext) -> Outputs:
    blocks = []
    for start in range(0, max(len(snapshot.user_keys), 1), BLOCK_ROWS):
        context.raise_if_cancelled()
        rows = slice(start, start + BLOCK_ROWS)
        blocks.append(model.predict(snapshot.values[rows], snapshot.eligible[rows]))
    return Outputs(
        **{
            each.name: np.concatenate([getattr(block, each.name) for block in blocks])
            for each in fields(Outputs)
        }
    )


def _table(
    model: ModelFacts,
    snapshot: FeatureSnapshot,
    outputs: Outputs,
    ranks: NDArray[np.float64],
    rows: NDArray[np.intp],
    reasons: list[str],
) -> pa.Table:
    keys, eligible = snapshot.user_keys[rows], snapshot.eligible[rows]
    why_not = ineligible_reason(snapshot.eligible_rule)
    columns = {
        "prediction_id": prediction_ids(model.name, snapshot.as_of, keys.tolist()),
        "user_key": keys,
        "model_version": [model.name] * len(rows),
        "feature_set_version": [model.feature_set_version] * len(rows),
        "dataset_hash": [snapshot.content_hash] * len(rows),
        "as_of": [snapshot.as_of] * len(rows),
        "horizon_end": [snapshot.as_of + model.horizon] * len(rows),
        **answer_columns(outputs, rows),
        "percentile": ranks[rows],
        "eligible": eligible,
        "ineligible_reason": np.where(eligible, "", why_not),
        "reasons": reasons,
    }
    return pa.table(columns, schema=PREDICTIONS)


def answer_columns(outputs: Outputs, rows: NDArray[np.intp]) -> dict[str, object]:
    """Return the columns of `PREDICTIONS` that the model itself says, for some of its rows."""
    segments = outputs.segment_probabilities[rows].astype(np.float64)
    return {
        "active_probability": outputs.active_probability[rows].astype(np.float64),
        "churn_probability": outputs.churn_probability[rows].astype(np.float64),
        "expected_value_micros": outputs.expected_value_micros[rows],
        "segment_probabilities": pa.FixedSizeListArray.from_arrays(
            pa.array(segments.ravel()), segments.shape[1]
        ).cast(pa.list_(pa.float64())),
        "segment": outputs.segments[rows],
        "value_low_micros": outputs.value_low_micros[rows],
        "value_high_micros": outputs.value_high_micros[rows],
    }
