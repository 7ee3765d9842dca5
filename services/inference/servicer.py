"""InferenceService: translates messages to predictions and jobs; holds no rule of its own."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
import numpy as np

from oriel.inference.v1 import inference_pb2 as pb
from oriel.inference.v1 import inference_pb2_grpc as rpc
from services.inference.adapters.embedding_model import KIND as EMBEDDINGS
from services.inference.adapters.messages import (
    batch_message,
    features_of,
    page_of,
    prediction_message,
    version_message,
)
from services.inference.adapters.models import LoadedModels
from services.inference.domain.prediction import Keys
from services.inference.usecases.batch import BatchPredictor
from services.inference.usecases.ports import Batches, Snapshots
from services.inference.usecases.predict import Predictor
from shared.errors import InvalidArgumentError
from shared.jobs import JobContext, JobStore
from shared.jobs.messages import time_message
from shared.registry import ModelRegistry

MOST_ROWS = 4096
"""Users or rows in one request; more is what a batch prediction is for."""


class InferenceServicer(rpc.InferenceServiceServicer):
    """Answers for published models.

    Args:
        registry: Published models.
        models: Loaded ones.
        predictor: Predicts now.
        snapshots: Features in force.
        batches: Predicts for a whole dataset.
        others: What predicts for a whole dataset with versions of a kind of their own, by kind, and
            what places its users instead.
        jobs: Batch predictions as durable resources.
        user_key: Pseudonym of an id at the source.
    """

    def __init__(
        self,
        *,
        registry: ModelRegistry,
        models: LoadedModels,
        predictor: Predictor,
        snapshots: Snapshots,
        batches: BatchPredictor,
        others: Mapping[str, Batches],
        jobs: JobStore,
        user_key: Callable[[str], int],
    ) -> None:
        self._registry, self._models, self._predictor = registry, models, predictor
        self._snapshots, self._batches, self._jobs = snapshots, batches, jobs
        self._others = others
        self._user_key = user_key

    def Predict(self, request: pb.PredictRequest, _: grpc.ServicerContext) -> pb.PredictResponse:
        if request.HasField("features"):
            if request.users or request.user_keys:
                raise _one_of()
            rows = features_of(request.features)
            _check_count(len(rows))
            answer = self._predictor.for_features(request.model, rows, request.has_reasons)
        else:
            keys = self._keys(request)
            _check_count(len(keys))
            answer = self._predictor.for_users(request.model, keys, request.has_reasons)
        return pb.PredictResponse(
            predictions=[prediction_message(prediction) for prediction in answer.predictions],
            model_version=answer.model_version,
            as_of_time=time_message(answer.as_of),
        )

    def CreateBatchPrediction(
        self, request: pb.CreateBatchPredictionRequest, _: grpc.ServicerContext
    ) -> pb.CreateBatchPredictionResponse:
        version = self._registry.get(request.model)
        model_version = version.name
        kind = EMBEDDINGS if request.is_embedding else str(version.manifest.get("kind", ""))
        predictor: Batches = self._others.get(kind, self._batches)
        asked = {"model": request.model, "dataset": request.dataset}
        if request.is_embedding:
            asked["kind"] = EMBEDDINGS

        def work(job: JobContext) -> Mapping[str, Any]:
            job.update(model_version=model_version)
            return predictor.run(model_version, request.dataset, job)

        job = self._jobs.submit(request.request_id, asked, work)
        return pb.CreateBatchPredictionResponse(batch_prediction=batch_message(job))

    def GetBatchPrediction(
        self, request: pb.GetBatchPredictionRequest, _: grpc.ServicerContext
    ) -> pb.GetBatchPredictionResponse:
        job = self._jobs.get(request.name)
        return pb.GetBatchPredictionResponse(batch_prediction=batch_message(job))

    def ListBatchPredictions(
        self, request: pb.ListBatchPredictionsRequest, _: grpc.ServicerContext
    ) -> pb.ListBatchPredictionsResponse:
        jobs, token = self._jobs.list(request.page_size, request.page_token)
        return pb.ListBatchPredictionsResponse(
            batch_predictions=[batch_message(job) for job in jobs], next_page_token=token
        )

    def CancelBatchPrediction(
        self, request: pb.CancelBatchPredictionRequest, _: grpc.ServicerContext
    ) -> pb.CancelBatchPredictionResponse:
        job = self._jobs.cancel(request.name)
        return pb.CancelBatchPredictionResponse(batch_prediction=batch_message(job))

    def WatchBatchPrediction(
        self, request: pb.WatchBatchPredictionRequest, _: grpc.ServicerContext
    ) -> Iterator[pb.WatchBatchPredictionResponse]:
        for job in self._jobs.watch(request.name):
            yield pb.WatchBatchPredictionResponse(batch_prediction=batch_message(job))

    def LoadFeatureSnapshot(
        self, request: pb.LoadFeatureSnapshotRequest, _: grpc.ServicerContext
    ) -> pb.LoadFeatureSnapshotResponse:
        snapshot = self._snapshots.load(request.dataset)
        return pb.LoadFeatureSnapshotResponse(
            user_count=len(snapshot.user_keys), as_of_time=time_message(snapshot.as_of)
        )

    def GetModelVersion(
        self, request: pb.GetModelVersionRequest, _: grpc.ServicerContext
    ) -> pb.GetModelVersionResponse:
        version = self._registry.get(request.name)
        return pb.GetModelVersionResponse(model_version=version_message(version))

    def ListModelVersions(
        self, request: pb.ListModelVersionsRequest, _: grpc.ServicerContext
    ) -> pb.ListModelVersionsResponse:
        versions = self._registry.list(request.model)
        page, token = page_of(versions, request.page_size, request.page_token)
        return pb.ListModelVersionsResponse(
            model_versions=[version_message(version) for version in page], next_page_token=token
        )

    def SetModelAlias(
        self, request: pb.SetModelAliasRequest, _: grpc.ServicerContext
    ) -> pb.SetModelAliasResponse:
        # Loaded before the alias moves, so that no request waits for it afterwards.
        self._models.load(request.model_version)
        version = self._registry.set_alias(request.name, request.model_version)
        return pb.SetModelAliasResponse(model_version=version_message(version))

    def _keys(self, request: pb.PredictRequest) -> Keys:
        if request.users and request.user_keys:
            raise _one_of()
        keys = request.user_keys or [self._user_key(user.strip()) for user in request.users]
        return np.array(keys, np.uint64)


def _check_count(count: int) -> None:
    if count == 0:
        raise InvalidArgumentError(
            "Nobody to predict for; fill users, user_keys or features.", reason="NOTHING_TO_PREDICT"
        )
    if count > MOST_ROWS:
        raise InvalidArgumentError(
            f"{count} is too many for one request, at most {MOST_ROWS}; send several, or use "
            "CreateBatchPrediction.",
            reason="TOO_MANY_ROWS",
            count=count,
            most=MOST_ROWS,
        )


def _one_of() -> InvalidArgumentError:
    return InvalidArgumentError(
        "Fill one of users, user_keys and features, and leave the others empty.",
        reason="ONE_OF_USERS_OR_FEATURES",
    )
