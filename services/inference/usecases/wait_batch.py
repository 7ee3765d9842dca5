"""Say when something happens to every user of a scoring dataset."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from services.inference.domain.prediction import Flags, Floats
from services.inference.domain.snapshot import FeatureSnapshot
from services.inference.usecases.answer_file import answer_path, whole_file
from shared.jobs import JobContext

SCHEMA = pa.schema(
    [
        ("user_key", pa.uint64()),
        ("eligible", pa.bool_()),
        ("probability", pa.float32()),
        ("days_low", pa.float32()),
        ("days", pa.float32()),
        ("days_high", pa.float32()),
        ("chances", pa.list_(pa.float32())),
    ]
)
"""Columns of the file: the probability within the horizon, the days by which it has happened with a
chance of 10, 50 and 90 %, none where that is later, and the chances by the end of each twelfth."""


@dataclass(frozen=True)
class Waits:
    """What a model says of rows: chances [row, part], and days [row] with NaN for later."""

    chances: Floats
    days_low: Floats
    days: Floats
    days_high: Floats


class WaitScorer(Protocol):
    """A loaded model of when something happens."""

    def require_fit(self, features: tuple[str, ...], feature_set_version: str, name: str) -> None:
        """Refuse a dataset that holds other features."""

    def waits(self, features: Floats, eligible: Flags) -> Waits:
        """Say of each row when it happens."""


class WaitBatchPredictor:
    """Says of all users of a dataset when it happens and leaves a file, whole or not at all.

    Args:
        load: Returns a model by the name of its version.
        read: Returns the features of a scoring dataset by its name.
        folder: Where files are left.
    """

    def __init__(
        self,
        load: Callable[[str], WaitScorer],
        read: Callable[[str], FeatureSnapshot],
        folder: Path,
    ) -> None:
        self._load, self._read, self._folder = load, read, folder

    def run(self, model_version: str, dataset: str, context: JobContext) -> Mapping[str, Any]:
        """Do all of it; progress counts users."""
        context.progress(0, 0, "users", "reading features")
        model, rows = self._load(model_version), self._read(dataset)
        model.require_fit(rows.features, rows.feature_set_version, dataset)
        count = len(rows.user_keys)
        context.update(as_of=rows.as_of.isoformat())
        context.progress(0, count, "users", "predicting")
        said = model.waits(rows.values, rows.eligible)
        table = pa.table(
            [
                rows.user_keys,
                rows.eligible,
                said.chances[:, -1],
                *(
                    pa.array(days, pa.float32(), mask=np.isnan(days))
                    for days in (said.days_low, said.days, said.days_high)
                ),
                pa.array(list(said.chances), pa.list_(pa.float32())),
            ],
            schema=SCHEMA,
        )
        context.raise_if_cancelled()
        path = answer_path(self._folder, model_version, dataset)
        with whole_file(path, SCHEMA) as file:
            file.write_table(table)
        context.progress(count, count, "users", "done")
        return {"uri": str(path), "prediction_count": count}
