"""The services as a pipeline sees them: stubs, and long work followed to its end."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

import grpc
from google.rpc.status_pb2 import Status

from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2 as feature
from oriel.feature.v1.feature_pb2_grpc import FeatureServiceStub
from oriel.inference.v1 import inference_pb2 as inference
from oriel.inference.v1.inference_pb2_grpc import InferenceServiceStub
from oriel.ingestion.v1 import ingestion_pb2 as ingestion
from oriel.ingestion.v1.ingestion_pb2_grpc import IngestionServiceStub
from oriel.training.v1 import training_pb2 as training
from oriel.training.v1.training_pb2_grpc import TrainingServiceStub
from shared.errors import CancelledError, DomainError, FailedPreconditionError
from shared.rpc import from_status

_KEYS_A_CALL = 50_000


class LongWork(Protocol):
    """What imports, datasets, training runs and batch predictions have in common."""

    @property
    def name(self) -> str:
        """Name of the resource."""

    @property
    def state(self) -> "common_pb2.State.ValueType":
        """Where it stands."""

    @property
    def progress(self) -> common_pb2.Progress:
        """How far it has come."""

    @property
    def error(self) -> Status:
        """Why it failed."""


Resource = TypeVar("Resource", bound=LongWork)
OnChange = Callable[[LongWork], None]


class Clients:
    """Stubs of the four services over one channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.ingestion = IngestionServiceStub(channel)
        self.feature = FeatureServiceStub(channel)
        self.training = TrainingServiceStub(channel)
        self.inference = InferenceServiceStub(channel)

    def import_file(
        self, request: ingestion.CreateImportRequest, on_change: OnChange
    ) -> ingestion.Import:
        """Import a file and return the ended import."""
        started = getattr(self.ingestion.CreateImport(request), "import")
        watch = self.ingestion.WatchImport(ingestion.WatchImportRequest(name=started.name))
        # The field's name is a word of Python.
        changes: Iterator[ingestion.Import] = (getattr(answer, "import") for answer in watch)
        return follow(changes, on_change)

    def build_dataset(
        self, request: feature.CreateDatasetRequest, on_change: OnChange
    ) -> feature.Dataset:
        """Build a dataset and return it."""
        started = self.feature.CreateDataset(request).dataset
        watch = self.feature.WatchDataset(feature.WatchDatasetRequest(name=started.name))
        return follow((answer.dataset for answer in watch), on_change)

    def train(
        self, request: training.CreateTrainingRunRequest, on_change: OnChange
    ) -> training.TrainingRun:
        """Train a model version and return the ended run."""
        started = self.training.CreateTrainingRun(request).training_run
        watch = self.training.WatchTrainingRun(training.WatchTrainingRunRequest(name=started.name))
        return follow((answer.training_run for answer in watch), on_change)

    def predict_all(
        self, request: inference.CreateBatchPredictionRequest, on_change: OnChange
    ) -> inference.BatchPrediction:
        """Predict for every user of a dataset and return the ended batch prediction."""
        started = self.inference.CreateBatchPrediction(request).batch_prediction
        watch = self.inference.WatchBatchPrediction(
            inference.WatchBatchPredictionRequest(name=started.name)
        )
        return follow((answer.batch_prediction for answer in watch), on_change)

    def source_ids(self, user_keys: Sequence[int]) -> Iterator[str]:
        """Yield the id at the source of each key; empty where the vault does not know it."""
        for start in range(0, len(user_keys), _KEYS_A_CALL):
            keys = user_keys[start : start + _KEYS_A_CALL]
            request = ingestion.BatchGetSourceIdsRequest(user_keys=keys)
            yield from self.ingestion.BatchGetSourceIds(request).source_ids


def follow(changes: Iterable[Resource], on_change: OnChange) -> Resource:
    """Report every change of long work and return it once it has succeeded.

    Raises:
        DomainError: What made it fail.
        RuntimeError: A bug made it fail; the server's log says more.
    """
    last: Resource | None = None
    for last in changes:
        on_change(last)
    if last is None or last.state in (common_pb2.STATE_PENDING, common_pb2.STATE_RUNNING):
        raise FailedPreconditionError(
            "the server stopped before the work had ended; run the same command again",
            reason="STOPPED_EARLY",
        )
    if last.state == common_pb2.STATE_SUCCEEDED:
        return last
    raise failure_of(last)


def failure_of(resource: LongWork) -> DomainError | RuntimeError:
    """Return the error that long work ended with."""
    if resource.state == common_pb2.STATE_CANCELLED:
        return CancelledError(f"{resource.name} was cancelled", reason="CANCELLED")
    return from_status(resource.error) or RuntimeError(
        f"{resource.name} failed: {resource.error.message}"
    )
