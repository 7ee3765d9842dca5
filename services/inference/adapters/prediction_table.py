"""Predictions in the warehouse, and as a file for those who read them all."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from services.inference.domain.persons import UNKNOWN
from services.inference.domain.prediction import Keys
from services.inference.domain.snapshot import FeatureSnapshot
from services.inference.usecases.answer_file import whole_file
from services.inference.usecases.batch import PREDICTIONS
from shared.warehouse import Warehouse

_WHERE = "WHERE model_version = {model_version:String} AND as_of = {as_of:DateTime64(3, 'UTC')}"


class PredictionTable:
    """The table `predictions`: rows are added, never changed."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def user_keys(self, model_version: str, as_of: datetime) -> Keys:
        """Return of whom a version has spoken as of an instant, ascending."""
        rows = self._warehouse.query(
            f"SELECT user_key FROM predictions {_WHERE} ORDER BY user_key",
            {"model_version": model_version, "as_of": as_of},
        )
        return np.asarray(rows.column("user_key").combine_chunks(), np.uint64)

    def append(self, predictions: pa.Table) -> None:
        """Log predictions that are not there yet; one block of one partition, so all or none."""
        self._warehouse.insert("predictions", predictions)

    def export(self, model_version: str, snapshot: FeatureSnapshot, path: Path) -> int:
        """Write what was said of a snapshot's users, ordered by user; return how many."""
        count = 0
        with whole_file(path, PREDICTIONS) as file:
            for batch in self._said(model_version, snapshot.as_of):
                keys = np.asarray(batch.column("user_key"), np.uint64)
                rows = batch.filter(pa.array(snapshot.slots(keys) != UNKNOWN))
                file.write_table(pa.Table.from_batches([rows]).cast(PREDICTIONS))
                count += rows.num_rows
        return count

    def _said(self, model_version: str, as_of: datetime) -> Iterator[pa.RecordBatch]:
        columns = ", ".join(PREDICTIONS.names)
        yield from self._warehouse.stream(
            f"SELECT {columns} FROM predictions {_WHERE} ORDER BY user_key",
            {"model_version": model_version, "as_of": as_of},
        )
