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
USERS = "users"
"""Kind of a dataset whose manifest names none."""


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
    awaited: str = ""
    """What is waited for: "order", "event" for any, or an event's name; empty for spend."""
    format_version: int = FORMAT_VERSION

    def fold(self, name: str) -> FoldSpec:
        """Return the fold of a name, "evaluation" or "final"."""
        return next(fold for fold in self.folds if fold.name == name)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of the feature matrix, in order."""
        return tuple(column.name for column in self.features)


def to_json(manifest: Any) -> str:
    """Return the text of a manifest file; equal manifests, of whatever kind, give equal bytes."""
    return json.dumps(_plain(manifest), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def from_values(values: Mapping[str, Any]) -> Manifest:
    """Return the manifest whose file holds these values."""
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
        FailedPreconditionError: There is no dataset of users, or one of another format.
    """
    return from_values(read_values(folder, USERS))


def kind_of(folder: Path) -> str:
    """Return of what a dataset's rows are: "users" or "images".

    Raises:
        FailedPreconditionError: There is no dataset, or one of another format.
    """
    return str(_read(folder).get("kind", USERS))


def read_values(folder: Path, kind: str) -> Mapping[str, Any]:
    """Return what the manifest file of a dataset holds.

    Raises:
        FailedPreconditionError: There is no dataset, one of another format or of another kind.
    """
    values = _read(folder)
    found = values.get("kind", USERS)
    if found != kind:
        raise FailedPreconditionError(
            f"{folder} holds a dataset of {found}, not of {kind}; name another",
            reason="DATASET_OF_ANOTHER_KIND",
            path=folder,
            found=found,
            kind=kind,
        )
    return values


def _read(folder: Path) -> Mapping[str, Any]:
    path = folder / MANIFEST_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FailedPreconditionError(
            f"{folder} holds no dataset; build it again", reason="DATASET_MISSING", path=folder
        ) from error
    version = values.get("format_version") if isinstance(values, dict) else None
    if version != FORMAT_VERSION:
        raise FailedPreconditionError(
            f"{path} has dataset format {version}; this Oriel reads {FORMAT_VERSION}: "
            "build the dataset again",
            reason="DATASET_FORMAT_UNKNOWN",
            path=path,
            format_version=version,
        )
    return dict(values)


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
