"""What is kept of a fit of segments, as versions of a model of its own in the registry."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.registry import ModelRegistry, ModelVersion

Floats = NDArray[np.float64]

KIND = "segments"
_FILE = "segments.json"


@dataclass(frozen=True)
class Segment:
    """One segment of a fit.

    Attributes:
        id: From 1; never given to another segment again.
        name: Nor is its name.
        centre: Its middle in the model's embedding.
        standing: Mean place of its customers among all, by axis of names.
    """

    id: int
    name: str
    centre: tuple[float, ...]
    standing: tuple[float, ...]


@dataclass(frozen=True)
class Retired:
    """A segment that an earlier fit had."""

    id: int
    name: str


@dataclass(frozen=True)
class Segmentation:
    """One fit.

    Attributes:
        model_version: Whose embedding the centres are in.
        dataset_hash: Of the customers it was fitted to.
        segments: By id.
        retired: Segments of any earlier fit that this one does not have.
        appeared: Names of segments that the fit before did not have; empty in the first fit.
        gone: Names of segments that only the fit before had.
    """

    model_version: str
    dataset_hash: str
    segments: tuple[Segment, ...]
    retired: tuple[Retired, ...] = ()
    appeared: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    @property
    def centres(self) -> Floats:
        """[segment, number]."""
        return np.array([segment.centre for segment in self.segments])

    @property
    def standings(self) -> Floats:
        """[segment, axis]."""
        return np.array([segment.standing for segment in self.segments])

    @property
    def ids(self) -> NDArray[np.int64]:
        """[segment]."""
        return np.array([segment.id for segment in self.segments], np.int64)


class KeptSegments:
    """Fits of segments of one model.

    Args:
        registry: Of the workspace.
        model: Name of the model whose embedding is grouped: models/{model}.
    """

    def __init__(self, registry: ModelRegistry, model: str) -> None:
        self._registry = registry
        self._model = f"{model.removeprefix('models/')}_segments"

    def find(self, model_version: str, dataset_hash: str) -> Segmentation | None:
        """The fit of a model version to some customers, if there was one."""
        for version in self._registry.list(self._model):
            told = (version.manifest["model_version"], version.manifest["dataset_hash"])
            if told == (model_version, dataset_hash):
                return _read(version)
        return None

    def last(self) -> Segmentation | None:
        """The newest fit."""
        versions = self._registry.list(self._model)
        return _read(versions[0]) if versions else None

    def add(self, fit: Segmentation) -> None:
        """Publish a fit."""
        content = json.dumps(asdict(fit), indent=1, sort_keys=True, allow_nan=False)
        manifest: dict[str, Any] = {
            "kind": KIND,
            "model_version": fit.model_version,
            "dataset_hash": fit.dataset_hash,
            "segment_names": [segment.name for segment in fit.segments],
        }
        self._registry.publish(self._model, {_FILE: content.encode() + b"\n"}, manifest)


def _read(version: ModelVersion) -> Segmentation:
    held = json.loads(version.read(_FILE))
    return Segmentation(
        model_version=held["model_version"],
        dataset_hash=held["dataset_hash"],
        segments=tuple(
            Segment(each["id"], each["name"], tuple(each["centre"]), tuple(each["standing"]))
            for each in held["segments"]
        ),
        retired=tuple(Retired(**each) for each in held["retired"]),
        appeared=tuple(held["appeared"]),
        gone=tuple(held["gone"]),
    )
