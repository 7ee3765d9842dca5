"""In-memory forms of the ports; the suites in this folder hold them to the real ones."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from services.inference.domain.persons import UNKNOWN
from services.inference.domain.snapshot import FeatureSnapshot, ordered
from services.inference.usecases.batch import PREDICTIONS
from shared.errors import NotFoundError
from tests.unit.inference import tiny_model

AS_OF = datetime(2011, 9, 10, tzinfo=UTC)
NAME = "datasets/scoring"


def snapshot(count=200, seed=0, **changes):
    """Return a snapshot of the tiny model's features; every seventh user is not eligible."""
    random = np.random.default_rng(seed)
    fields = {
        "dataset": NAME,
        "content_hash": "c0",
        "as_of": AS_OF,
        "known_at": AS_OF,
        "feature_set_version": "fs1",
        "eligible_rule": "orders_ever >= 1",
        "features": tiny_model.FEATURES,
        "user_keys": np.unique(random.integers(1, 2**64, count, np.uint64)),
        "eligible": np.arange(count) % 7 != 0,
        "values": tiny_model.rows(count, seed),
    }
    return ordered(FeatureSnapshot(**fields | changes))


class MemoryDatasets:
    """Datasets that are given rather than built."""

    def __init__(self, *snapshots):
        self.snapshots = {snapshot.dataset: snapshot for snapshot in snapshots}

    def read(self, name):
        if name not in self.snapshots:
            raise NotFoundError(f"there is no {name}", reason="JOB_NOT_FOUND", name=name)
        return self.snapshots[name]


class MemoryIdentities:
    """Pairs of keys that are given rather than stored."""

    def __init__(self, *pairs):
        self._pairs = np.array(pairs, np.uint64).reshape(-1, 2)

    def pairs(self, as_of, known_at):
        return self._pairs[:, 0], self._pairs[:, 1]


class MemoryLog:
    """A log of predictions that forgets."""

    def __init__(self):
        self.rows = PREDICTIONS.empty_table()
        self.appended = []

    def user_keys(self, model_version, as_of):
        return np.asarray(self._said(model_version, as_of)["user_key"], np.uint64)

    def append(self, predictions):
        self.appended.append(predictions.num_rows)
        self.rows = pa.concat_tables([self.rows, predictions])

    def export(self, model_version, snapshot, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = self._said(model_version, snapshot.as_of)
        known = snapshot.slots(np.asarray(rows["user_key"], np.uint64)) != UNKNOWN
        rows = rows.filter(pa.array(known))
        with pa.ipc.new_file(path, PREDICTIONS) as writer:
            writer.write_table(rows)
        return rows.num_rows

    def _said(self, model_version, as_of):
        rows = [
            row
            for row in self.rows.to_pylist()
            if row["model_version"] == model_version and row["as_of"] == as_of
        ]
        rows.sort(key=lambda row: row["user_key"])
        return pa.Table.from_pylist(rows, PREDICTIONS)
