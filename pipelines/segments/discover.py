"""Segments of the main job's customers: fitted once, matched with the last fit, and told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2
from oriel.inference.v1 import inference_pb2
from pipelines.clients import Clients
from pipelines.main_job import MODEL, RELEASE, Answers, Stages, request_id
from pipelines.segments.clusters import FEWEST, LEAST_EACH, nearest
from pipelines.segments.discovered import NOBODY, UNKNOWN, Discovered
from pipelines.segments.fitting import fitted
from pipelines.segments.kept import KeptSegments, Segmentation
from pipelines.segments.maps import map_of
from pipelines.segments.naming import NOT_ORDERED
from pipelines.segments.profiles import Facts, profiles_of
from shared.dataset import DatasetReader
from shared.errors import DomainError
from shared.features import words
from shared.registry import ModelRegistry

STAGE = "segments"
LEAST_CUSTOMERS = FEWEST * LEAST_EACH

_NOT_THERE = "MODEL_FILE_NOT_FOUND"
_UNREADABLE = (
    _NOT_THERE,
    "MODEL_VERSION_NOT_FOUND",
    "MODEL_FILE_CORRUPT",
    "MODEL_PROGRAM_UNREADABLE",
    "FEATURES_DIFFER",
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SegmentAnswer:
    """Segments, or why there are none."""

    found: Discovered | None
    why_not: str = ""

    def summary(self) -> Mapping[str, Any]:
        """Return what summary.json says of it."""
        return {"why_not": self.why_not} if self.found is None else self.found.summary()


@dataclass(frozen=True)
class _Placed:
    """Where a model places every customer of a dataset."""

    user_keys: NDArray[np.uint64]
    eligible: NDArray[np.bool_]
    points: Floats

    def of(self, user_keys: NDArray[np.uint64]) -> tuple[Ints, NDArray[np.bool_]]:
        """Rows of users, and whether there is one at all."""
        places = np.searchsorted(self.user_keys, user_keys)
        places = np.minimum(places, max(len(self.user_keys) - 1, 0))
        if not len(self.user_keys):
            return places, np.zeros(len(user_keys), np.bool_)
        return places, self.user_keys[places] == user_keys


def discover(
    clients: Clients, answers: Answers, registry: ModelRegistry, stages: Stages
) -> SegmentAnswer:
    """Group the customers of the main job and say who changed groups since the horizon before.

    Args:
        clients: Of the services.
        answers: What the main job found.
        registry: Where fits are kept, so that the next one can give the same names.
        stages: Shows how far it has come.
    """
    stages.show(STAGE, common_pb2.Progress(message="placing customers"))

    def placed(model_version: str, dataset: feature_pb2.Dataset) -> _Placed:
        return _placed(clients, model_version, dataset, stages)

    try:
        now = placed(answers.model.name, answers.scoring)
        earlier = placed(answers.model.name, answers.earlier)
    except DomainError as error:
        if error.reason != _NOT_THERE:
            raise
        return _none(stages, f"{answers.model.name} cannot place customers; train again")
    count = int(now.eligible.sum())
    if count < LEAST_CUSTOMERS:
        return _none(
            stages,
            f"{count} customers have ordered, and at least {LEAST_CUSTOMERS} are needed",
        )

    facts = _facts(answers)
    kept = KeptSegments(registry, MODEL)
    fit = kept.find(answers.model.name, answers.scoring.content_hash)
    if fit is None:
        stages.show(STAGE, common_pb2.Progress(message="grouping customers"))
        last = kept.last()
        fit = fitted(
            now.points[now.eligible],
            facts,
            model_version=answers.model.name,
            dataset_hash=answers.scoring.content_hash,
            last=last,
            before=None if last is None else _before(placed, last, answers.scoring, now.eligible),
        )
        kept.add(fit)
    found = _discovered(fit, now, earlier, facts, answers)
    stages.end(STAGE, f"{len(fit.segments)} segments of {count:,} customers")
    return SegmentAnswer(found)


def _before(
    placed: Any, last: Segmentation, scoring: feature_pb2.Dataset, eligible: NDArray[np.bool_]
) -> Ints | None:
    """Each customer's segment by the last fit, read with the model it was made with."""
    try:
        return nearest(placed(last.model_version, scoring).points[eligible], last.centres)
    except DomainError as error:
        if error.reason not in _UNREADABLE:
            raise
        return None


def _discovered(
    fit: Segmentation, now: _Placed, earlier: _Placed, facts: Facts, answers: Answers
) -> Discovered:
    groups = nearest(now.points[now.eligible], fit.centres)
    say = partial(words, currency=answers.before.currency)
    profiles = profiles_of(facts, groups, len(fit.segments), say)
    segment = _ids(fit, now)
    before = _ids(fit, earlier)
    places, is_known = earlier.of(now.user_keys)
    previous = np.full(len(segment), UNKNOWN, np.int64)
    previous[is_known] = before[places[is_known]]
    period = answers.as_of_time - answers.earlier.as_of_times[0].ToDatetime(tzinfo=UTC)
    return Discovered(
        names={NOBODY: NOT_ORDERED} | {each.id: each.name for each in fit.segments},
        profiles={each.id: profile for each, profile in zip(fit.segments, profiles, strict=True)},
        user_keys=now.user_keys,
        segment=segment,
        previous=previous,
        period_days=round(period.total_seconds() / 86_400),
        map=map_of(now.points[now.eligible], fit.ids[groups]),
        appeared=fit.appeared,
        gone=fit.gone,
    )


def _ids(fit: Segmentation, placed: _Placed) -> Ints:
    ids = np.full(len(placed.user_keys), NOBODY, np.int64)
    ids[placed.eligible] = fit.ids[nearest(placed.points[placed.eligible], fit.centres)]
    return ids


def _facts(answers: Answers) -> Facts:
    """What is known and said of customers who have ordered, in the order of their keys."""
    reader = DatasetReader(Path(answers.scoring.uri))
    arrays = reader.arrays()
    order = np.argsort(arrays.user_keys, kind="stable")
    order = order[arrays.eligible[order]]
    columns = arrays.features[order].astype(np.float64)
    with pa.memory_map(answers.batch.uri) as source:
        said = pa.ipc.open_file(source).read_all()
    said = said.filter(said["eligible"])  # ordered by user_key, as a batch prediction is
    return Facts(
        features={
            feature.name: columns[:, place]
            for place, feature in enumerate(reader.manifest.features)
        },
        active=said["active_probability"].to_numpy(),
        value=said["expected_value_micros"].to_numpy() / 1e6,
    )


def _placed(
    clients: Clients, model_version: str, dataset: feature_pb2.Dataset, stages: Stages
) -> _Placed:
    request = inference_pb2.CreateBatchPredictionRequest(
        model=model_version,
        dataset=dataset.name,
        request_id=request_id("embedding", RELEASE, dataset.content_hash, model_version),
        is_embedding=True,
    )
    batch = clients.predict_all(request, lambda work: stages.show(STAGE, work.progress))
    with pa.memory_map(batch.uri) as source:
        table = pa.ipc.open_file(source).read_all().combine_chunks()
    points = table["embedding"].combine_chunks()
    return _Placed(
        user_keys=table["user_key"].to_numpy(),
        eligible=table["eligible"].to_numpy(),
        points=points.flatten().to_numpy().reshape(table.num_rows, -1).astype(np.float64),
    )


def _none(stages: Stages, why_not: str) -> SegmentAnswer:
    stages.end(STAGE, f"none: {why_not}")
    return SegmentAnswer(None, why_not)
