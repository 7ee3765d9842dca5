"""Features of a partition kept up event by event, on disk with the offsets they stand for."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType

import numpy as np
import pyarrow as pa

from shared.errors import FailedPreconditionError
from shared.features.algebra import Feature
from shared.features.online.outcomes import Applied, Keys, OnlineSettings, Rows, StateReport, Whole
from shared.features.online.plan import Plan, plan_of
from shared.features.online.reader import Reader
from shared.features.online.report import report_of
from shared.features.online.store import Store, snapshot_of
from shared.features.online.updater import Updater, edges_of
from shared.features.registry import feature_set_version

_FORMAT = 1
"""Raised when the file is laid out in another way, so that an old one is not read."""

_NEAR = 4
"""So few blocks may be applied while nobody reads."""


EDGES = pa.schema(
    [
        ("message_id", pa.string()),
        ("from_key", pa.uint64()),
        ("to_key", pa.uint64()),
        ("event_time", pa.timestamp("ms", "UTC")),
    ]
)
"""What is read of a row of `identity`."""


@dataclass(frozen=True)
class _Block:
    """A block that came while a rebuild was reading."""

    batch: pa.RecordBatch
    offsets: Mapping[str, int]
    edges: pa.RecordBatch | None


class OnlineFeatures:
    """Feature values of the users of one partition, as of any instant since the settled day.

    One thread applies blocks and takes snapshots; any thread reads rows. Use `open`.
    """

    def __init__(self, plan: Plan, settings: OnlineSettings, store: Store) -> None:
        self._plan, self._settings, self._store = plan, settings, store
        self._reader = Reader(plan)
        self._updater = Updater(plan, settings)
        self._lock, self._write_lock, self._rebuild_lock = Lock(), Lock(), Lock()
        self._is_whole_due = False
        self._meanwhile: list[_Block] | None = None
        store.read(self._updater)

    @classmethod
    def open(
        cls,
        path: Path,
        partition: str,
        declarations: Sequence[Feature],
        settings: OnlineSettings,
    ) -> "OnlineFeatures":
        """Open the state of a partition as its last snapshot left it; an empty one at first.

        Features that mean something else have a file of their own, so that the state of a model
        version lives beside that of the next.

        Args:
            path: Folder of the files.
            partition: Name of the partition, as part of a file's name.
            declarations: Features, in the order of the columns.
            settings: Zone and lateness.

        Raises:
            InvalidArgumentError: A feature cannot be kept up event by event; it is named.
        """
        plan = plan_of(declarations)
        said = f"{_FORMAT} {settings.zone} {feature_set_version(declarations)}"
        version = hashlib.sha256(said.encode()).hexdigest()[:16]
        return cls(plan, settings, Store(path / f"{partition}-{version}.sqlite"))

    @property
    def offsets(self) -> Mapping[str, int]:
        """Of each stream, the offset of the first event that is not in the state."""
        return dict(self._updater.offsets)

    @property
    def watermark_ms(self) -> int:
        """Instant of the newest event so far; before the first one, far in the past."""
        return self._updater.watermark_ms

    def apply(
        self,
        block: pa.RecordBatch,
        offsets: Mapping[str, int],
        edges: pa.RecordBatch | None = None,
    ) -> Applied:
        """Take a block in; rows may come twice, late, and in any order.

        Args:
            block: Rows of `events` in the order in which they arrived; see `COLUMNS`.
            offsets: Of each stream, the offset that follows the block.
            edges: Rows of `identity` that these messages make; None makes one of each row that
                names a user and a visitor.

        Raises:
            InvalidArgumentError: A column is missing; it is named.
        """
        with self._lock:
            applied = self._updater.apply(block, offsets, edges)
            if self._meanwhile is not None:
                self._meanwhile.append(_Block(block, dict(offsets), edges))
            return applied

    def rows(self, user_keys: Keys, as_of_ms: int | Whole) -> Rows:
        """Return the features of some users, as the dataset of that instant has them.

        An instant within a day sees what happened before it, and windows that end with its day.

        Args:
            user_keys: Any key of each; a visitor's reads the user that it became.
            as_of_ms: One instant for all, or one for each, in milliseconds from 1970 in UTC.
        """
        keys: Keys = np.asarray(user_keys, np.uint64)
        instants = np.broadcast_to(np.asarray(as_of_ms, np.int64), keys.shape)
        with self._lock:
            return self._reader.read(self._updater.state, keys, instants)

    def snapshot(self) -> None:
        """Write what changed since the last snapshot, and the offsets, in one transaction.

        Reading and applying go on while it is written.
        """
        with self._write_lock:
            with self._lock:
                snapshot = snapshot_of(self._updater, is_whole=self._is_whole_due)
                # What a failed write leaves out is in no later one but a whole one.
                self._is_whole_due = True
            self._store.write(snapshot)
            self._is_whole_due = False

    def rebuild(
        self,
        events: Iterable[pa.RecordBatch],
        edges: Iterable[pa.RecordBatch],
        offsets: Mapping[str, int],
    ) -> Mapping[str, int]:
        """Make the state anew of all that the warehouse holds, and take it at once.

        The old state goes on being read, and takes blocks in, until the new one stands in its
        place; what came meanwhile is in both.

        Args:
            events: Rows of `events`, by ascending ingest time.
            edges: Rows of `identity`.
            offsets: Of each stream, the offset of the first event that the warehouse may lack.

        Returns:
            Of each stream, the offset to go on from.

        Raises:
            FailedPreconditionError: The warehouse lacks events that the state has.
        """
        with self._rebuild_lock:
            with self._lock:
                _require_as_far(offsets, self._updater.offsets)
                self._meanwhile = []
            try:
                fresh = Updater(self._plan, self._settings)
                none = pa.RecordBatch.from_pylist([], EDGES)
                for batch in events:
                    fresh.apply(batch, {}, none, is_history=True)
                for batch in edges:
                    fresh.join(edges_of(batch))
                fresh.offsets.update(offsets)
                # No snapshot of the old state comes between what is written and what is taken.
                with self._write_lock:
                    self._is_whole_due = True
                    self._store.write(snapshot_of(fresh, is_whole=True))
                    while not self._took(fresh):
                        pass
            finally:
                self._meanwhile = None
            return self.offsets

    def _took(self, fresh: Updater) -> bool:
        """Put a state in the old one's place if it has all blocks; else apply what it lacks."""
        with self._lock:
            lacking, self._meanwhile = self._meanwhile or [], []
            is_near = len(lacking) < _NEAR
            if is_near:
                _apply(lacking, fresh)
                self._updater, self._is_whole_due = fresh, False
        # Many blocks are applied while reads go on; then only those are left that came meanwhile.
        if not is_near:
            _apply(lacking, fresh)
        return is_near

    def report(self) -> StateReport:
        """Say how much memory the state takes, by part and by feature."""
        with self._lock:
            return report_of(self._updater)

    def close(self) -> None:
        """Close the file; what no snapshot holds is read again from the offsets."""
        self._store.close()

    def __enter__(self) -> "OnlineFeatures":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _apply(blocks: Iterable[_Block], updater: Updater) -> None:
    for each in blocks:
        updater.apply(each.batch, each.offsets, each.edges)


def _require_as_far(held: Mapping[str, int], needed: Mapping[str, int]) -> None:
    behind = {name: least for name, least in needed.items() if held.get(name, 0) < least}
    if behind:
        said = "; ".join(
            f"{name}: the warehouse holds all before {held.get(name, 0)}, the state before {least}"
            for name, least in behind.items()
        )
        raise FailedPreconditionError(
            f"the warehouse lacks events that the state has ({said}); rebuild when ingestion has "
            "caught up",
            reason="WAREHOUSE_BEHIND",
            streams=", ".join(behind),
        )
