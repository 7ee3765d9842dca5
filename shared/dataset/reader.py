"""Reads a dataset folder without copying its matrix."""

from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from shared.dataset.arrays import DatasetArrays, concatenate, from_arrow
from shared.dataset.manifest import Manifest, read_manifest
from shared.dataset.staging import read_batches


class DatasetReader:
    """The rows and the manifest of one dataset.

    Args:
        folder: What `Dataset.uri` names.

    Raises:
        FailedPreconditionError: There is no dataset, or one of another format.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        self._manifest = read_manifest(self._folder)

    @property
    def manifest(self) -> Manifest:
        """What the dataset says of itself."""
        return self._manifest

    def batches(self) -> Iterator[DatasetArrays]:
        """Yield the shards in order; rows are ordered by user_key, then as_of."""
        for batch in self._record_batches():
            yield from_arrow(batch)

    def arrays(self, as_ofs: Collection[datetime] | None = None) -> DatasetArrays:
        """Return all rows, or those at some instants, in order."""
        parts = list(self.batches())
        if as_ofs is not None:
            moments = np.array([_moment(each) for each in as_ofs], "datetime64[ms]")
            parts = [part.rows(np.isin(part.as_ofs, moments)) for part in parts]
        return concatenate(parts)

    def table(self) -> pa.Table:
        """Return all rows as Arrow."""
        return pa.Table.from_batches(self._record_batches())

    def _record_batches(self) -> Iterator[pa.RecordBatch]:
        return read_batches(self._folder, self._manifest.shards)


def _moment(instant: datetime) -> np.datetime64:
    return np.datetime64(round(instant.timestamp() * 1000), "ms")
