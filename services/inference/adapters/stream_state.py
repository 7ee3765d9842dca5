"""Where the features of the partitions lie on this machine."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from services.inference.adapters import stream_table
from shared.bus import Partition
from shared.features.algebra import Feature
from shared.features.online import OnlineFeatures, OnlineSettings
from shared.warehouse import Warehouse

_LOG = logging.getLogger(__name__)

_MOST_SLOTS = 100


@dataclass(frozen=True)
class Opened:
    """The features of one partition, and what keeps others from their files."""

    features: OnlineFeatures
    lock: FileLock

    def close(self) -> None:
        """Let go of the files."""
        self.features.close()
        self.lock.release()


class PartitionStates:
    """Opens the features of partitions; a member that sleeps keeps its files to itself.

    Args:
        folder: Where the files lie.
        declarations: Features, in the order of the columns.
        settings: Zone and lateness.
        warehouse: Has what happened before the bus.
    """

    def __init__(
        self,
        folder: Path,
        declarations: Sequence[Feature],
        settings: OnlineSettings,
        warehouse: Warehouse,
    ) -> None:
        self._folder, self._declarations, self._settings = folder, declarations, settings
        self._warehouse = warehouse

    def open(self, partition: Partition, stream: str, next_offset: int) -> Opened:
        """Open the features of a partition, none of which may know more than what is stored.

        Args:
            partition: Whose.
            stream: Name of the stream in the features' offsets.
            next_offset: How far the stream is stored.
        """
        name = f"{partition.topic}-{partition.number}"
        for slot in range(_MOST_SLOTS):
            folder = self._folder / name / str(slot)
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder.with_suffix(".lock"), thread_local=False)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            return Opened(self._open(folder, name, stream, next_offset), lock)
        raise RuntimeError(f"{_MOST_SLOTS} members hold features of {name}")

    def _open(self, folder: Path, name: str, stream: str, next_offset: int) -> OnlineFeatures:
        features = OnlineFeatures.open(folder, name, self._declarations, self._settings)
        if features.offsets.get(stream, 0) > next_offset:
            _LOG.warning("features know more than what is stored; they are made anew")
            features.close()
            shutil.rmtree(folder)
            folder.mkdir()
            features = OnlineFeatures.open(folder, name, self._declarations, self._settings)
        if stream not in features.offsets:
            features.rebuild(
                stream_table.history(self._warehouse),
                stream_table.history_edges(self._warehouse),
                {},
            )
        return features
