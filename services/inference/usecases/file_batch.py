"""Have a model answer for every user of a scoring dataset, and leave a file of its own."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from services.inference.domain.prediction import Flags, Floats, ModelFacts
from services.inference.domain.snapshot import FeatureSnapshot, check_fits
from services.inference.usecases.answer_file import answer_path, whole_file
from shared.jobs import JobContext

BLOCK_ROWS = 1024
"""Rows answered for between two looks at whether a caller asked to stop."""

WRITE_ROWS = 32 * BLOCK_ROWS
"""Rows held in memory before they are written."""

KEY_FIELDS = (pa.field("user_key", pa.uint64()), pa.field("eligible", pa.bool_()))


class AnsweringModel(Protocol):
    """A loaded model version."""

    facts: ModelFacts
    fields: tuple[pa.Field, ...]
    """Columns of its answer."""
    suffix: str
    """End of the file's name."""

    def answer(self, features: Floats, eligible: Flags) -> list[pa.Array]:
        """Answer for rows: an array for each of the fields."""


class FileBatch:
    """Answers for all users of a dataset and leaves a file, whole or not at all.

    Args:
        load: Returns a model by the name of its version.
        read: Returns the features of a scoring dataset by its name.
        folder: Where files are left.
        workers: Threads that answer.
    """

    def __init__(
        self,
        load: Callable[[str], AnsweringModel],
        read: Callable[[str], FeatureSnapshot],
        folder: Path,
        workers: int = 2,
    ) -> None:
        self._load, self._read, self._folder, self._workers = load, read, folder, workers

    def run(self, model_version: str, dataset: str, context: JobContext) -> Mapping[str, Any]:
        """Do all of it; progress counts users."""
        context.progress(0, 0, "users", "reading features")
        model, rows = self._load(model_version), self._read(dataset)
        check_fits(rows, model.facts)
        count = len(rows.user_keys)
        context.update(as_of=rows.as_of.isoformat())
        plain = answer_path(self._folder, model_version, dataset)
        path = plain.with_name(f"{plain.stem}{model.suffix}.arrow")
        schema = pa.schema([*KEY_FIELDS, *model.fields])

        def answered(start: int) -> pa.RecordBatch:
            context.raise_if_cancelled()
            block = slice(start, start + BLOCK_ROWS)
            columns = model.answer(rows.values[block], rows.eligible[block])
            keys = (rows.user_keys[block], rows.eligible[block])
            return pa.record_batch([*keys, *columns], schema=schema)

        with (
            whole_file(path, schema) as file,
            ThreadPoolExecutor(self._workers, thread_name_prefix="answers") as pool,
        ):
            for first in range(0, count, WRITE_ROWS):
                context.progress(first, count, "users", "predicting")
                last = min(first + WRITE_ROWS, count)
                for batch in pool.map(answered, range(first, last, BLOCK_ROWS)):
                    file.write_batch(batch)
        context.progress(count, count, "users", "done")
        return {"uri": str(path), "prediction_count": count}
