"""Say where a model's encoder places every user of a scoring dataset."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from services.inference.domain.prediction import Floats, ModelFacts
from services.inference.domain.snapshot import FeatureSnapshot, check_fits
from services.inference.usecases.answer_file import answer_path, whole_file
from shared.jobs import JobContext

KIND = "embeddings"
BLOCK_ROWS = 32_768
"""Rows between two looks at whether a caller asked to stop."""


class Encoder(Protocol):
    """A loaded model version."""

    facts: ModelFacts
    width: int
    """Numbers of an embedding."""

    def embed(self, features: Floats) -> Floats:
        """Place rows of features, [row, width]."""


class EmbeddingBatch:
    """Places all users of a dataset and leaves a file, whole or not at all.

    Args:
        load: Returns a model by the name of its version.
        read: Returns the features of a scoring dataset by its name.
        folder: Where files are left.
    """

    def __init__(
        self,
        load: Callable[[str], Encoder],
        read: Callable[[str], FeatureSnapshot],
        folder: Path,
    ) -> None:
        self._load, self._read, self._folder = load, read, folder

    def run(self, model_version: str, dataset: str, context: JobContext) -> Mapping[str, Any]:
        """Do all of it; progress counts users."""
        context.progress(0, 0, "users", "reading features")
        model, rows = self._load(model_version), self._read(dataset)
        check_fits(rows, model.facts)
        count = len(rows.user_keys)
        context.update(as_of=rows.as_of.isoformat())
        predictions = answer_path(self._folder, model_version, dataset)
        path = predictions.with_name(f"{predictions.stem}-embedding.arrow")
        schema = schema_of(model.width)
        with whole_file(path, schema) as file:
            for start in range(0, count, BLOCK_ROWS):
                context.raise_if_cancelled()
                context.progress(start, count, "users", "placing customers")
                block = slice(start, start + BLOCK_ROWS)
                placed = pa.array(model.embed(rows.values[block]).reshape(-1), pa.float32())
                columns = [
                    pa.array(rows.user_keys[block], pa.uint64()),
                    pa.array(rows.eligible[block], pa.bool_()),
                    pa.FixedSizeListArray.from_arrays(placed, model.width),
                ]
                file.write_batch(pa.record_batch(columns, schema=schema))
        context.progress(count, count, "users", "done")
        return {"uri": str(path), "prediction_count": count}


def schema_of(width: int) -> pa.Schema:
    """Columns of the file."""
    return pa.schema(
        [
            ("user_key", pa.uint64()),
            ("eligible", pa.bool_()),
            ("embedding", pa.list_(pa.float32(), width)),
        ]
    )
