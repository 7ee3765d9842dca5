"""Name the products that every user of a scoring dataset is likely to order next."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from services.inference.usecases.answer_file import answer_path, whole_file
from shared.dataset.products import NONE, ProductDatasetReader, ProductManifest, ProductRows
from shared.jobs import JobContext

PLACES = 10

SCHEMA = pa.schema(
    [
        ("user_key", pa.uint64()),
        ("any", pa.list_(pa.string())),
        ("new", pa.list_(pa.string())),
    ]
)
"""Columns of the file: products by how likely they are, the likeliest first."""


class Scorer(Protocol):
    """A loaded model of products."""

    def require_fit(self, dataset: ProductManifest) -> None:
        """Refuse candidates that are described by other features."""

    def scores(self, rows: ProductRows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return a score of each candidate, as any product and as a new one."""


class ProductBatchPredictor:
    """Ranks products for all users of a dataset and leaves a file, whole or not at all.

    Args:
        load: Returns a model by the name of its version.
        find: Returns the folder of a scoring dataset by its name.
        folder: Where files are left.
    """

    def __init__(
        self, load: Callable[[str], Scorer], find: Callable[[str], Path], folder: Path
    ) -> None:
        self._load, self._find, self._folder = load, find, folder

    def run(self, model_version: str, dataset: str, context: JobContext) -> Mapping[str, Any]:
        """Do all of it; progress counts users."""
        context.progress(0, 0, "users", "reading candidates")
        model = self._load(model_version)
        reader = ProductDatasetReader(self._find(dataset))
        manifest = reader.manifest
        model.require_fit(manifest)
        context.update(as_of=manifest.as_ofs[0].isoformat())
        path = answer_path(self._folder, model_version, dataset)
        done = 0
        with whole_file(path, SCHEMA) as file:
            for rows in reader.blocks():
                context.raise_if_cancelled()
                file.write_batch(_named(rows, *model.scores(rows), manifest.products))
                done += len(rows)
                context.progress(done, manifest.row_count, "users", "ranking products")
        return {"uri": str(path), "prediction_count": done}


def ranked(
    scores: NDArray[np.float32], products: NDArray[np.int32], is_allowed: NDArray[np.bool_]
) -> list[list[int]]:
    """Return the products of the highest scores of each row, best first, at most ten.

    >>> ranked(np.array([[1.0, 3.0, 2.0]]), np.array([[7, 8, 9]]), np.array([[True, False, True]]))
    [[9, 7]]
    """
    best = np.argsort(np.where(is_allowed, -scores, np.inf), axis=1, kind="stable")[:, :PLACES]
    allowed = np.take_along_axis(is_allowed, best, axis=1)
    chosen = np.take_along_axis(products, best, axis=1)
    return [row[keep].tolist() for row, keep in zip(chosen, allowed, strict=True)]


def _named(
    rows: ProductRows,
    of_any: NDArray[np.float32],
    of_new: NDArray[np.float32],
    ids: tuple[str, ...],
) -> pa.RecordBatch:
    is_any = rows.products != NONE

    def names(scores: NDArray[np.float32], is_allowed: NDArray[np.bool_]) -> pa.Array:
        lists = ranked(scores, rows.products, is_allowed)
        return pa.array([[ids[place] for place in row] for row in lists], pa.list_(pa.string()))

    columns = [
        pa.array(rows.user_keys, pa.uint64()),
        names(of_any, is_any),
        names(of_new, is_any & ~rows.is_own),
    ]
    return pa.record_batch(columns, schema=SCHEMA)
