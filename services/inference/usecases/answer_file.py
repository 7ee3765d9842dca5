"""The file that a batch prediction leaves."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa


def answer_path(folder: Path, model_version: str, dataset: str) -> Path:
    """Where the answers of a version about a dataset lie.

    >>> answer_path(Path("answers"), "models/next_order/versions/3", "datasets/abc").name
    'next_order-3-abc.arrow'
    """
    parts = [*model_version.split("/")[1::2], dataset.rpartition("/")[2]]
    return folder / ("-".join(parts) + ".arrow")


@contextmanager
def whole_file(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatchFileWriter]:
    """A file to write that shows under its name when it is whole, and not before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        with pa.ipc.new_file(file, schema) as writer:
            yield writer
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
