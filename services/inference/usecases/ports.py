"""What predicting needs from outside."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from services.inference.domain.prediction import (
    Attribution,
    Flags,
    Floats,
    Keys,
    ModelFacts,
    Outputs,
)
from services.inference.domain.snapshot import FeatureSnapshot
from shared.jobs import JobContext


class Explaining(Protocol):
    """A loaded model version that says why."""

    facts: ModelFacts

    def attribute(self, features: Floats) -> Attribution:
        """Run the `attribute` program over [row, feature]."""


class Model(Explaining, Protocol):
    """A loaded model version of users."""

    def predict(self, features: Floats, eligible: Flags) -> Outputs:
        """Run the `predict` program over [row, feature]."""


class Models(Protocol):
    """Published models, loaded when first needed."""

    def load(self, name: str) -> Model:
        """Return the version that a name points at now, ready to run."""


class Datasets(Protocol):
    """Scoring datasets."""

    def read(self, name: str) -> FeatureSnapshot:
        """Return the features of a finished scoring dataset, ordered by user."""


class Batches(Protocol):
    """Predicts for all users of a dataset."""

    def run(self, model_version: str, dataset: str, context: JobContext) -> Mapping[str, Any]:
        """Do all of it, and return what the job's result says."""


class Identities(Protocol):
    """Which keys are the same person."""

    def pairs(self, as_of: datetime, known_at: datetime) -> tuple[Keys, Keys]:
        """Return pairs of keys joined before an instant, as known at another."""


class Snapshots(Protocol):
    """The one feature snapshot in force."""

    def load(self, dataset: str) -> FeatureSnapshot:
        """Put a dataset's features in force, at once and for every reader."""

    def current(self) -> FeatureSnapshot:
        """Return the snapshot in force."""


class PredictionLog(Protocol):
    """Every prediction that was said; nothing in it ever changes."""

    def user_keys(self, model_version: str, as_of: datetime) -> Keys:
        """Return of whom a version has spoken as of an instant, ascending."""

    def append(self, predictions: pa.Table) -> None:
        """Log predictions that are not there yet."""

    def export(self, model_version: str, snapshot: FeatureSnapshot, path: Path) -> int:
        """Write what was said of a snapshot's users to an Arrow IPC file; return how many."""
