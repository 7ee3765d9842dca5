"""What a dataset says of itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.errors import FailedPreconditionError

FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True)
class FeatureColumn:
    """One column of the feature matrix."""

    name: str
    label: str
    kind: str
    """How it was computed: the function, or "ratio" or "balance"."""
    unit: str


@dataclass(frozen=True)
class FoldSpec:
    """Which instants a fold trains on and which it is judged on."""

    name: str
    train_as_ofs: tuple[datetime, ...]
    test_as_ofs: tuple[datetime, ...]
    segment_limits_micros: tuple[int, int]
    """Thirds of spenders in the label window of the last training instant."""


@dataclass(frozen=True)
class Statistics:
    """Values of one feature over all rows; all but `missing` are 0 when none is known."""

    mean: float
    std: float
    min: float
    max: float
    missing: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a dataset holds and how it was made."""

    name: str
    purpose: str
    """"training" or "scoring"."""
    predictions: tuple[str, ...]
    features: tuple[FeatureColumn, ...]
    feature_set_version: str
    as_ofs: tuple[datetime, ...]
    known_at: datetime
    horizon_days: int
    time_zone: str
    currency: str
    eligible_rule: str
    folds: tuple[FoldSpec, ...]
    row_count: int
    user_count: int
    content_hash: str
    shards: tuple[str, ...]
    statistics: Mapping[str, Statistics]
    sql: str
    checks: Mapping[str, int] = field(default_factory=dict)
    """`count` and `unique` message ids of the events that were read."""
    format_version: int = FORMAT_VERSION

    def fold(self, name: str) -> FoldSpec:
        """Return the fold of a name, "evaluation" or "final"."""
        return next(fold for fold in self.folds if fold.name == name)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of the feature matrix, in order."""
        return tuple(column.name for column in self.features)


def to_json(manifest: Manifest) -> str:
    """Return the text of a manifest file; equal manifests give equal bytes."""
    return json.dumps(_plain(manifest), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def from_json(text: str, origin: str) -> Manifest:
    """Read the text of a manifest file.

    Args:
        text: What `to_json` wrote.
        origin: Where it came from, for messages.

    Raises:
        FailedPreconditionError: It was written by a newer Oriel, or is not a manifest.
    """
    values = json.loads(text)
    version = values.get("format_version") if isinstance(values, dict) else None
    if version != FORMAT_VERSION:
        raise FailedPreconditionError(
            f"{origin} has dataset format {version}; this Oriel reads {FORMAT_VERSION}: "
            "build the dataset again",
            reason="DATASET_FORMAT_UNKNOWN",
            path=origin,
            format_version=version,
        )
    known = {each.name for each in fields(Manifest)}
    values = {key: value for key, value in values.items() if key in known}
    return Manifest(
        **{
            **values,
            "predictions": tuple(values["predictions"]),
            "features": tuple(FeatureColumn(**column) for column in values["features"]),
            "as_ofs": _instants(values["as_ofs"]),
            "known_at": _instant(values["known_at"]),
            "folds": tuple(_fold(fold) for fold in values["folds"]),
            "shards": tuple(values["shards"]),
            "statistics": {name: Statistics(**each) for name, each in values["statistics"].items()},
        }
    )


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a dataset folder.

    Raises:
        FailedPreconditionError: There is no dataset, or one of another format.
    """
    path = folder / MANIFEST_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise FailedPreconditionError(
            f"{folder} holds no dataset; build it again", reason="DATASET_MISSING", path=folder
        ) from error
    return from_json(text, str(path))


def _fold(values: Mapping[str, Any]) -> FoldSpec:
    low, high = values["segment_limits_micros"]
    return FoldSpec(
        values["name"],
        _instants(values["train_as_ofs"]),
        _instants(values["test_as_ofs"]),
        (low, high),
    )


def _instants(texts: list[str]) -> tuple[datetime, ...]:
    return tuple(_instant(text) for text in texts)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return value
