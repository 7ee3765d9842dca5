"""Predict for named users or for rows of features, now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from services.inference.domain.persons import UNKNOWN
from services.inference.domain.prediction import (
    Floats,
    Keys,
    Outputs,
    Prediction,
    Reason,
    Status,
)
from services.inference.domain.reasons import Wording, ineligible_reason
from services.inference.domain.snapshot import check_fits
from services.inference.usecases.ports import Model, Models, Snapshots
from services.inference.usecases.telling import reasons_of
from shared.errors import InvalidArgumentError

UNKNOWN_USER = "is not known: nothing of this customer was recorded before the features end"


@dataclass(frozen=True)
class Answer:
    """One prediction for each user or row, in the order asked."""

    predictions: tuple[Prediction, ...]
    model_version: str
    as_of: datetime | None


class Predictor:
    """Answers from a model and the snapshot in force."""

    def __init__(self, models: Models, snapshots: Snapshots, wording: Wording) -> None:
        self._models, self._snapshots, self._wording = models, snapshots, wording

    def for_users(self, model_name: str, user_keys: Keys, has_reasons: bool) -> Answer:
        """Predict from the snapshot; users not in it get base rates."""
        model = self._models.load(model_name)
        snapshot = self._snapshots.current()
        check_fits(snapshot, model.facts)
        slots = snapshot.slots(user_keys)
        rows, eligible = snapshot.read(slots)
        not_eligible = ineligible_reason(snapshot.eligible_rule)
        states = [
            (Status.UNKNOWN_USER, UNKNOWN_USER)
            if slot == UNKNOWN
            else (Status.PREDICTED, "")
            if is_eligible
            else (Status.INELIGIBLE, not_eligible)
            for slot, is_eligible in zip(slots, eligible, strict=True)
        ]
        outputs = model.predict(rows, eligible)
        reasons = reasons_of(model, rows, eligible & has_reasons, self._wording)
        predictions = _told(user_keys.tolist(), states, outputs, reasons)
        return Answer(predictions, model.facts.name, snapshot.as_of)

    def for_features(self, model_name: str, rows: Floats, has_reasons: bool) -> Answer:
        """Predict from features in the model's order, as for eligible users."""
        model = self._models.load(model_name)
        _check_rows(rows, model)
        eligible = np.ones(len(rows), np.bool_)
        outputs = model.predict(rows, eligible)
        reasons = reasons_of(model, rows, eligible & has_reasons, self._wording)
        states = [(Status.PREDICTED, "")] * len(rows)
        predictions = _told([0] * len(rows), states, outputs, reasons)
        return Answer(predictions, model.facts.name, None)


def _told(
    user_keys: Sequence[int],
    states: Sequence[tuple[Status, str]],
    outputs: Outputs,
    reasons: Sequence[tuple[Reason, ...]],
) -> tuple[Prediction, ...]:
    columns = zip(
        user_keys,
        states,
        outputs.active_probability.tolist(),
        outputs.churn_probability.tolist(),
        outputs.expected_value_micros.tolist(),
        outputs.segment_probabilities.tolist(),
        outputs.segments.tolist(),
        outputs.value_low_micros.tolist(),
        outputs.value_high_micros.tolist(),
        reasons,
        strict=True,
    )
    return tuple(
        Prediction(
            key, status, why_not, active, churn, micros, tuple(chances), segment, low, high, of_row
        )
        for key, (status, why_not), active, churn, micros, chances, segment, low, high, of_row in (
            columns
        )
    )


def _check_rows(rows: Floats, model: Model) -> None:
    width = len(model.facts.features)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise InvalidArgumentError(
            f"features has shape {list(rows.shape)}; {model.facts.name} wants [rows, {width}], in "
            "the order that GetModelVersion lists.",
            reason="FEATURES_SHAPE",
            shape=list(rows.shape),
            width=width,
            model=model.facts.name,
        )
    places = np.argwhere(np.isinf(rows))
    if len(places):
        row, column = places[0]
        raise InvalidArgumentError(
            f"features has an infinite {model.facts.features[column]} in row {row}; send NaN where "
            "a value is missing.",
            reason="FEATURES_INFINITE",
            feature=model.facts.features[column],
            row=row,
        )
