"""The rows of a dataset as numpy arrays and as Arrow."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_LABELS = ("label_active", "label_spend_micros", "label_wait_days")


@dataclass(frozen=True)
class DatasetArrays:
    """Rows of a dataset, one for each user and as_of.

    Attributes:
        user_keys: uint64 [row].
        as_ofs: datetime64[ms] in UTC [row].
        eligible: bool [row].
        features: float32 [row, feature]; NaN is missing.
        active: uint8 [row], whether it happened in the horizon: a purchase, or what is waited for;
            None when scoring.
        spend_micros: int64 [row], gross spend in the horizon; None when scoring.
        wait_days: float32 [row], until what is waited for, NaN when it did not come within the
            horizon; None when scoring, and where nothing is waited for.
    """

    user_keys: npt.NDArray[np.uint64]
    as_ofs: npt.NDArray[np.datetime64]
    eligible: npt.NDArray[np.bool_]
    features: npt.NDArray[np.float32]
    active: npt.NDArray[np.uint8] | None = None
    spend_micros: npt.NDArray[np.int64] | None = None
    wait_days: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.user_keys)

    def rows(self, chosen: Any) -> "DatasetArrays":
        """Return some rows, chosen by a mask, a slice or indices."""
        return _of(None if column is None else column[chosen] for column in self.columns())

    def columns(self) -> tuple[Any, ...]:
        """Return the arrays in the order of the fields."""
        return (
            self.user_keys,
            self.as_ofs,
            self.eligible,
            self.features,
            self.active,
            self.spend_micros,
            self.wait_days,
        )


def concatenate(parts: list[DatasetArrays]) -> DatasetArrays:
    """Put parts of one dataset behind one another; a single part is returned as it is."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(*(part.columns() for part in parts), strict=True)
    return _of(None if column[0] is None else np.concatenate(column) for column in columns)


def _of(columns: Iterable[Any]) -> DatasetArrays:
    return DatasetArrays(*columns)


def to_arrow(arrays: DatasetArrays) -> pa.RecordBatch:
    """Return rows as an Arrow batch whose matrix column shares memory with the array."""
    flat = pa.array(np.ascontiguousarray(arrays.features, np.float32).reshape(-1))
    columns = {
        "user_key": pa.array(arrays.user_keys, pa.uint64()),
        "as_of": pa.array(arrays.as_ofs.astype("datetime64[ms]"), pa.timestamp("ms", "UTC")),
        "eligible": pa.array(arrays.eligible, pa.bool_()),
        "features": pa.FixedSizeListArray.from_arrays(flat, arrays.features.shape[1]),
    }
    if arrays.active is not None:
        columns["label_active"] = pa.array(arrays.active, pa.uint8())
        columns["label_spend_micros"] = pa.array(arrays.spend_micros, pa.int64())
    if arrays.wait_days is not None:
        columns["label_wait_days"] = pa.array(arrays.wait_days, pa.float32())
    return pa.record_batch(columns)


def from_arrow(batch: pa.RecordBatch) -> DatasetArrays:
    """Return an Arrow batch as arrays; the matrix is read in place."""
    matrix = batch.column("features")
    width = matrix.type.list_size
    labels = [
        batch.column(name).to_numpy() if name in batch.schema.names else None for name in _LABELS
    ]
    return DatasetArrays(
        batch.column("user_key").to_numpy(),
        batch.column("as_of").to_numpy(zero_copy_only=False).astype("datetime64[ms]"),
        batch.column("eligible").to_numpy(zero_copy_only=False),
        matrix.flatten().to_numpy().reshape(-1, width),
        *labels,
    )
