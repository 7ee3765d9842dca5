"""Writes a dataset folder that is there whole or not at all."""

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from shared.dataset.arrays import DatasetArrays, to_arrow
from shared.dataset.manifest import Manifest, Statistics
from shared.dataset.staging import Staging

# A block of rows that stays in the processor's cache while several sums pass over it.
_BLOCK_ROWS = 4_096


class DatasetWriter:
    """Takes shards in order, then a manifest; nothing shows under the folder's name before that.

    Args:
        folder: Where the dataset shall be; one that is there is replaced.
        feature_names: Columns of the matrix.
    """

    def __init__(self, folder: Path, feature_names: tuple[str, ...]) -> None:
        self._staging = Staging(folder)
        self._names = feature_names
        self._hash = _ContentHash(feature_names)
        self._statistics = _RunningStatistics(len(feature_names))
        # One thread each, so that shards are taken in order while the next one is written.
        self._hashing = ThreadPoolExecutor(1, "dataset-hash")
        self._summing = ThreadPoolExecutor(1, "dataset-statistics")
        self._under_way: list[Future[None]] = []
        self._row_count = self._user_count = 0

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hashing.shutdown(cancel_futures=True)
        self._summing.shutdown(cancel_futures=True)
        self._staging.__exit__(kind, error, trace)

    def append(self, arrays: DatasetArrays) -> None:
        """Write one shard; its users follow those of the last one and are in no other."""
        canonical(arrays.features)
        self._under_way.append(self._hashing.submit(self._hash.update, arrays))
        self._under_way.append(self._summing.submit(self._statistics.update, arrays.features))
        self._staging.write(to_arrow(arrays))
        self._row_count += len(arrays)
        self._user_count += int(np.count_nonzero(np.diff(arrays.user_keys))) + (len(arrays) > 0)

    def finish(self, manifest: Callable[["Written"], Manifest]) -> Manifest:
        """Write the manifest and let the dataset appear.

        Args:
            manifest: Makes the manifest out of what was written.
        """
        for work in self._under_way:
            work.result()
        statistics = dict(zip(self._names, self._statistics.result(), strict=True))
        made = manifest(
            Written(
                self._staging.shards,
                self._row_count,
                self._user_count,
                self._hash.hexdigest(),
                statistics,
            )
        )
        self._staging.finish(made)
        return made


class Written:
    """What was written, for the manifest."""

    def __init__(
        self,
        shards: tuple[str, ...],
        row_count: int,
        user_count: int,
        content_hash: str,
        statistics: dict[str, Statistics],
    ) -> None:
        self.shards, self.row_count, self.user_count = shards, row_count, user_count
        self.content_hash, self.statistics = content_hash, statistics


def canonical(features: npt.NDArray[np.float32]) -> None:
    """Give every missing value and every zero the same bits, in place."""
    for start in range(0, len(features), _BLOCK_ROWS):
        block = features[start : start + _BLOCK_ROWS]
        np.add(block, np.float32(0.0), out=block)
        np.copyto(block, np.float32(np.nan), where=np.isnan(block))


class _ContentHash:
    """SHA-256 over the values of each column, so that cutting into shards does not show."""

    def __init__(self, feature_names: tuple[str, ...]) -> None:
        self._schema = hashlib.sha256("\n".join(feature_names).encode()).digest()
        self._columns = [hashlib.sha256() for _ in range(6)]

    def update(self, arrays: DatasetArrays) -> None:
        if arrays.wait_days is not None and len(self._columns) == 6:
            self._columns.append(hashlib.sha256())
        # Without waits they leave no trace, so that datasets keep the hash they had before them.
        for digest, column in zip(self._columns, arrays.columns(), strict=False):
            if column is not None:
                digest.update(np.ascontiguousarray(column).view(np.uint8).reshape(-1).data)

    def hexdigest(self) -> str:
        whole = hashlib.sha256(self._schema)
        for digest in self._columns:
            whole.update(digest.digest())
        return whole.hexdigest()


class _RunningStatistics:
    """Count, sums and extremes of each column; 64 bits, in the order of the shards."""

    def __init__(self, width: int) -> None:
        self._count = np.zeros(width, np.int64)
        self._rows = 0
        self._sum = np.zeros(width)
        self._square = np.zeros(width)
        self._min = np.full(width, np.inf)
        self._max = np.full(width, -np.inf)

    def update(self, features: npt.NDArray[np.float32]) -> None:
        self._rows += len(features)
        for start in range(0, len(features), _BLOCK_ROWS):
            block = features[start : start + _BLOCK_ROWS]
            is_missing = np.isnan(block)
            values = np.where(is_missing, 0.0, block.astype(np.float64))
            self._count += len(block) - is_missing.sum(axis=0)
            self._sum += values.sum(axis=0)
            self._square += np.square(values).sum(axis=0)
            self._min = np.fmin(self._min, np.fmin.reduce(block, axis=0))
            self._max = np.fmax(self._max, np.fmax.reduce(block, axis=0))

    def result(self) -> list[Statistics]:
        known = np.maximum(self._count, 1)
        mean = self._sum / known
        std = np.sqrt(np.maximum(self._square / known - mean**2, 0.0))
        return [
            Statistics(
                mean=float(mean[column]),
                std=float(std[column]),
                min=float(self._min[column]) if self._count[column] else 0.0,
                max=float(self._max[column]) if self._count[column] else 0.0,
                missing=int(self._rows - self._count[column]),
            )
            for column in range(len(mean))
        ]
