"""The main job: events in, a trained model, and what it says of every customer."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as wall_time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp

from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2
from oriel.inference.v1 import inference_pb2
from oriel.ingestion.v1 import ingestion_pb2
from oriel.training.v1 import training_pb2
from pipelines.clients import Clients, LongWork
from shared.errors import FailedPreconditionError
from shared.features import FEATURES, feature_set_version

RELEASE = version("oriel")
"""Part of what work is keyed by: another release may answer otherwise."""

MODEL = "models/customer_90d"
CHAMPION = f"{MODEL}/aliases/champion"
PREDICTIONS = ("churn_90d", "value_90d", "segment_90d")
HORIZON_DAYS = 90
_PREDICTIONS_FOLDER = Path(__file__).resolve().parents[1] / "predictions"
_FINGERPRINT_FIELDS = (
    "currency",
    "time_zone",
    "event_count",
    "user_count",
    "order_count",
    "gross_micros",
    "net_micros",
    "line_count",
)

Answer = TypeVar("Answer")


class Stages(Protocol):
    """Whoever shows people how far the job has come."""

    def show(self, stage: str, progress: common_pb2.Progress) -> None:
        """Show how far a stage has come."""

    def end(self, stage: str, note: str) -> None:
        """Show that a stage is done."""


@dataclass(frozen=True)
class MainJob:
    """What to do the job on."""

    events: str
    """Absolute path or URI of the events."""
    mapping: str = ""
    """Name or text of a mapping; empty to detect."""
    source: str = ""
    """Name of the source; the mapping's when empty."""
    as_of: date | None = None
    """Day whose first instant is predicted from; the day after the last event when None."""
    seed: int = 1
    """Of all randomness in training."""
    is_simulated: bool = False
    """Whether the events are a simulator's."""


@dataclass(frozen=True)
class Answers:
    """What the services made of the events."""

    job: MainJob
    imported: ingestion_pb2.Import
    everything: ingestion_pb2.GetWorkspaceSummaryResponse
    """What the workspace holds in all."""
    before: ingestion_pb2.GetWorkspaceSummaryResponse
    """What of it was known at the instant predicted from."""
    as_of_time: datetime
    training: feature_pb2.Dataset
    earlier: feature_pb2.Dataset
    """The customers known a horizon before the instant predicted from, as they were then."""
    scoring: feature_pb2.Dataset
    model: inference_pb2.ModelVersion
    batch: inference_pb2.BatchPrediction
    seconds: dict[str, float] = field(default_factory=dict)


class _Timed:
    """Runs stages one after the other, shows them and takes their time."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self.seconds: dict[str, float] = {}

    def run(
        self,
        stage: str,
        work: Callable[[Callable[[LongWork], None]], Answer],
        note: Callable[[Answer], str],
    ) -> Answer:
        started = time.perf_counter()
        self._stages.show(stage, common_pb2.Progress(message="starting"))
        answer = work(lambda resource: self._stages.show(stage, resource.progress))
        self._stages.end(stage, note(answer))
        self.seconds[stage] = time.perf_counter() - started
        return answer


def run(clients: Clients, job: MainJob, stages: Stages) -> Answers:
    """Do the job; what an earlier run of the same job did is found, not done again."""
    timed = _Timed(stages)
    imported = timed.run(
        "import events", lambda show: _import(clients, job, show), lambda done: _rows(done)
    )
    everything = clients.ingestion.GetWorkspaceSummary(ingestion_pb2.GetWorkspaceSummaryRequest())
    as_of_time = prediction_time(everything, job.as_of)
    files = prediction_files()

    def dataset(
        purpose: "feature_pb2.DatasetPurpose.ValueType", moment: datetime = as_of_time
    ) -> Any:
        held = fingerprint(everything, moment)
        request = feature_pb2.CreateDatasetRequest(
            prediction_files=files,
            purpose=purpose,
            as_of_time=stamp(moment),
            request_id=request_id("dataset", held, purpose, *files),
        )
        return lambda show: clients.build_dataset(request, show)

    training = timed.run(
        "build training set", dataset(feature_pb2.DATASET_PURPOSE_TRAINING), _dataset_note
    )
    run_request = training_pb2.CreateTrainingRunRequest(
        model=MODEL,
        dataset=training.name,
        prediction_files=files,
        seed=job.seed,
        request_id=request_id("run", RELEASE, training.content_hash, job.seed, *files),
    )
    trained = timed.run(
        "train", lambda show: clients.train(run_request, show), lambda done: done.model_version
    )
    promoted = clients.inference.SetModelAlias(
        inference_pb2.SetModelAliasRequest(name=CHAMPION, model_version=trained.model_version)
    )
    # Before the scoring set: serving takes the newest one.
    earlier = timed.run(
        "look a horizon back",
        dataset(
            feature_pb2.DATASET_PURPOSE_SCORING,
            days_before(as_of_time, HORIZON_DAYS, everything.time_zone),
        ),
        _dataset_note,
    )
    scoring = timed.run(
        "build scoring set", dataset(feature_pb2.DATASET_PURPOSE_SCORING), _dataset_note
    )
    clients.inference.LoadFeatureSnapshot(
        inference_pb2.LoadFeatureSnapshotRequest(dataset=scoring.name)
    )
    batch_request = inference_pb2.CreateBatchPredictionRequest(
        model=trained.model_version,
        dataset=scoring.name,
        request_id=request_id("batch", RELEASE, scoring.content_hash, trained.model_version),
    )
    batch = timed.run(
        "predict",
        lambda show: clients.predict_all(batch_request, show),
        lambda done: f"{done.prediction_count:,} customers",
    )
    before = clients.ingestion.GetWorkspaceSummary(
        ingestion_pb2.GetWorkspaceSummaryRequest(before_time=stamp(as_of_time))
    )
    return Answers(
        job=job,
        imported=imported,
        everything=everything,
        before=before,
        as_of_time=as_of_time,
        training=training,
        earlier=earlier,
        scoring=scoring,
        model=promoted.model_version,
        batch=batch,
        seconds=timed.seconds,
    )


def prediction_files() -> list[str]:
    """Return the texts of the prediction files that the job answers."""
    return [
        (_PREDICTIONS_FOLDER / f"{name}.yaml").read_text(encoding="utf-8") for name in PREDICTIONS
    ]


def midnight_after(moment: datetime, zone: str) -> datetime:
    """Return the first midnight of a zone after an instant, in UTC.

    >>> midnight_after(datetime(2011, 9, 9, 12, tzinfo=UTC), "Europe/London").isoformat()
    '2011-09-09T23:00:00+00:00'
    """
    local = moment.astimezone(ZoneInfo(zone))
    return midnight_of(local.date() + timedelta(days=1), zone)


def days_before(midnight: datetime, days: int, zone: str) -> datetime:
    """Return the midnight of a zone so many days before another, in UTC.

    >>> days_before(datetime(2011, 5, 9, 23, tzinfo=UTC), 90, "Europe/London").isoformat()
    '2011-02-09T00:00:00+00:00'
    """
    return midnight_of(midnight.astimezone(ZoneInfo(zone)).date() - timedelta(days=days), zone)


def midnight_of(day: date, zone: str) -> datetime:
    """Return the first instant of a day of a zone, in UTC."""
    return datetime.combine(day, wall_time(), ZoneInfo(zone)).astimezone(UTC)


def request_id(kind: str, *parts: object) -> str:
    """Return an id that equal work has in common, whichever process asks for it."""
    digest = hashlib.sha256(json.dumps([str(part) for part in parts]).encode())
    return f"main-job-{kind}-{digest.hexdigest()[:32]}"


def stamp(moment: datetime) -> Timestamp:
    """Return an instant as a message."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def content_of(uri: str) -> str:
    """Return what a file holds as a digest; the URI itself where it is no local file."""
    path = Path(uri)
    if not path.is_file():
        return uri
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _import(
    clients: Clients, job: MainJob, show: Callable[[LongWork], None]
) -> ingestion_pb2.Import:
    request = ingestion_pb2.CreateImportRequest(
        uri=job.events,
        mapping=job.mapping,
        source=job.source,
        request_id=request_id(
            "import", job.events, content_of(job.events), job.source, job.mapping
        ),
    )
    return clients.import_file(request, show)


def prediction_time(
    held: ingestion_pb2.GetWorkspaceSummaryResponse, as_of: date | None = None
) -> datetime:
    """Return the start of a day, or of the day after the last event.

    Raises:
        FailedPreconditionError: There is no event.
    """
    if not held.event_count:
        raise FailedPreconditionError(
            "no event could be stored, so there is nothing to learn from; "
            "oriel rejects says why rows were rejected",
            reason="NO_EVENTS",
        )
    if as_of is not None:
        return midnight_of(as_of, held.time_zone)
    return midnight_after(held.last_event_time.ToDatetime(tzinfo=UTC), held.time_zone)


def fingerprint(held: ingestion_pb2.GetWorkspaceSummaryResponse, as_of_time: datetime) -> str:
    """Return an id of what is known before an instant and of what features of it mean."""
    parts: Sequence[object] = [getattr(held, name) for name in _FINGERPRINT_FIELDS]
    times = (held.first_event_time, held.last_event_time, held.last_ingest_time)
    meaning = feature_set_version(FEATURES.values())
    texts = [time.ToJsonString() for time in times]
    return request_id("held", RELEASE, *parts, *texts, as_of_time.isoformat(), meaning)


def _rows(imported: ingestion_pb2.Import) -> str:
    note = f"{imported.row_count:,} rows, {imported.event_count:,} events"
    if imported.rejected_row_count:
        note += f", {imported.rejected_row_count:,} rows rejected"
    return note


def _dataset_note(dataset: feature_pb2.Dataset) -> str:
    return f"{dataset.row_count:,} rows, {dataset.user_count:,} customers"
