"""The feature snapshot in force, found again after a restart."""

import json
import logging
import threading
from dataclasses import replace
from pathlib import Path

from services.inference.domain.persons import aliases
from services.inference.domain.snapshot import FeatureSnapshot
from services.inference.usecases.ports import Datasets, Identities
from shared.errors import DomainError, FailedPreconditionError, UnavailableError

_LOG = logging.getLogger(__name__)


class CurrentSnapshot:
    """Holds one snapshot; readers see the old one or the new one, never a mixture.

    Args:
        datasets: Where snapshots are read from.
        identities: Under which further keys their users are known.
        memory: File that remembers which dataset was loaded last.
    """

    def __init__(self, datasets: Datasets, identities: Identities, memory: Path) -> None:
        self._datasets, self._identities, self._memory = datasets, identities, memory
        self._snapshot: FeatureSnapshot | None = None
        self._loading = threading.Lock()

    def load(self, dataset: str) -> FeatureSnapshot:
        """Put a dataset's features in force."""
        with self._loading:
            return self._load(dataset)

    def current(self) -> FeatureSnapshot:
        """Return the snapshot in force; after a restart, the one loaded last.

        Raises:
            FailedPreconditionError: None was ever loaded, or the last one is gone.
        """
        snapshot = self._snapshot
        if snapshot is not None:
            return snapshot
        with self._loading:
            return self._snapshot or self._recall()

    def _load(self, dataset: str) -> FeatureSnapshot:
        snapshot = self._datasets.read(dataset)
        pairs = self._identities.pairs(snapshot.as_of, snapshot.known_at)
        snapshot = replace(snapshot, also=aliases(snapshot.user_keys, *pairs))
        self._snapshot = snapshot
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        partial = self._memory.with_suffix(".partial")
        partial.write_text(json.dumps({"format_version": 1, "dataset": dataset}))
        partial.replace(self._memory)
        return snapshot

    def _recall(self) -> FeatureSnapshot:
        try:
            dataset = str(json.loads(self._memory.read_text())["dataset"])
        except (OSError, ValueError, KeyError, TypeError):
            raise _not_loaded("No features are loaded") from None
        try:
            return self._load(dataset)
        except UnavailableError:
            raise  # comes back by itself
        except DomainError as error:
            _LOG.warning("snapshot not restored", extra={"dataset": dataset, "why": error.reason})
            raise _not_loaded(f"The features loaded last, {dataset}, cannot be read") from error


def _not_loaded(what: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"{what}. Build a scoring dataset (CreateDataset with purpose SCORING), then call "
        "LoadFeatureSnapshot with its name; `oriel run` does both.",
        reason="SNAPSHOT_NOT_LOADED",
        what=what,
    )
