"""The service over gRPC: real programs, real jobs, datasets and log in memory."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from oriel.common.v1 import common_pb2
from oriel.inference.v1 import inference_pb2 as pb
from oriel.inference.v1 import inference_pb2_grpc as rpc
from services.inference.adapters.models import LoadedModels
from services.inference.adapters.product_model import ProductModel
from services.inference.adapters.runner import ModelRunner
from services.inference.adapters.snapshots import CurrentSnapshot
from services.inference.servicer import MOST_ROWS, InferenceServicer
from services.inference.usecases.batch import BatchPredictor
from services.inference.usecases.predict import Predictor
from services.inference.usecases.product_batch import ProductBatchPredictor
from shared.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from shared.jobs import JobStore
from shared.registry import ModelRegistry
from shared.rpc import Service, connect, serve
from tests.unit.inference import tiny_model
from tests.unit.inference.stand_ins import (
    AS_OF,
    NAME,
    MemoryDatasets,
    MemoryIdentities,
    MemoryLog,
    snapshot,
)
from tests.unit.inference.test_predictor import WORDING

HELD = snapshot(100)
SECOND_KEY = 7


@contextmanager
def serving(folder, registry, datasets, load=ModelRunner):
    models = LoadedModels(registry, load)
    snapshots = CurrentSnapshot(
        datasets,
        MemoryIdentities((int(HELD.user_keys[5]), SECOND_KEY)),
        folder / "snapshot.memory",
    )
    jobs = JobStore(folder / "jobs", "batchPredictions")
    servicer = InferenceServicer(
        registry=registry,
        models=models,
        predictor=Predictor(models, snapshots, WORDING),
        snapshots=snapshots,
        batches=BatchPredictor(models, datasets, MemoryLog(), WORDING, folder / "exports"),
        others={
            "products": ProductBatchPredictor(
                lambda name: ProductModel(registry.get(name)), Path, folder / "exports"
            )
        },
        jobs=jobs,
        user_key=lambda user: int(HELD.user_keys[int(user)]) if user.isdigit() else 1,
    )
    service = Service(
        "oriel.inference.v1.InferenceService",
        lambda server: rpc.add_InferenceServiceServicer_to_server(servicer, server),
        jobs.close,
    )
    with serve([service], "127.0.0.1:0") as server, connect(server.address) as channel:
        yield rpc.InferenceServiceStub(channel)


@pytest.fixture(scope="module")
def stub(tmp_path_factory, model_files):
    folder = tmp_path_factory.mktemp("service")
    registry = ModelRegistry(folder / "registry")
    registry.publish("tiny", model_files, tiny_model.MANIFEST)
    registry.publish("tiny", model_files, tiny_model.MANIFEST | {"dataset_hash": "d1"})
    registry.set_alias("models/tiny/aliases/champion", "models/tiny/versions/1")
    with serving(folder, registry, MemoryDatasets(HELD)) as stub:
        stub.LoadFeatureSnapshot(pb.LoadFeatureSnapshotRequest(dataset=NAME))
        yield stub


def tensor(rows, dtype="float32"):
    return common_pb2.Tensor(data=rows.tobytes(), shape=rows.shape, dtype=dtype)


def test_users_by_source_id_and_by_key_are_answered_alike(stub):
    by_id = stub.Predict(pb.PredictRequest(model="models/tiny", users=["3", " 4 ", "nobody"]))
    keys = [*HELD.user_keys[3:5].tolist(), 1]
    by_key = stub.Predict(pb.PredictRequest(model="models/tiny", user_keys=keys))
    assert by_id == by_key
    assert by_id.model_version == "models/tiny/versions/1"
    assert by_id.as_of_time.ToDatetime(AS_OF.tzinfo) == AS_OF
    assert [prediction.status for prediction in by_id.predictions] == [
        pb.PREDICTION_STATUS_PREDICTED,
        pb.PREDICTION_STATUS_PREDICTED,
        pb.PREDICTION_STATUS_UNKNOWN_USER,
    ]
    assert not by_id.predictions[0].reasons


def test_rows_of_features_are_answered_like_the_users_they_belong_to(stub):
    of_rows = stub.Predict(
        pb.PredictRequest(model="models/tiny", features=tensor(HELD.values[3:5]), has_reasons=True)
    )
    of_users = stub.Predict(
        pb.PredictRequest(model="models/tiny", users=["3", "4"], has_reasons=True)
    )
    assert not of_rows.HasField("as_of_time")
    for row, user in zip(of_rows.predictions, of_users.predictions, strict=True):
        assert row.user_key == 0
        row.user_key = user.user_key
        assert row == user
        assert row.reasons


def test_a_second_key_of_a_person_is_answered_with_the_persons_features(stub):
    keys = [int(HELD.user_keys[5]), SECOND_KEY]
    first, second = stub.Predict(
        pb.PredictRequest(model="models/tiny", user_keys=keys, has_reasons=True)
    ).predictions
    assert second.user_key == SECOND_KEY
    second.user_key = first.user_key
    assert first == second


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "NOTHING_TO_PREDICT"),
        ({"users": ["1"], "user_keys": [1]}, "ONE_OF_USERS_OR_FEATURES"),
        ({"users": ["1"], "features": tensor(HELD.values[:1])}, "ONE_OF_USERS_OR_FEATURES"),
        ({"user_keys": range(1, MOST_ROWS + 2)}, "TOO_MANY_ROWS"),
        ({"features": tensor(HELD.values[:1].astype(np.float64), "float64")}, "FEATURES_DTYPE"),
        ({"features": tensor(HELD.values[:1, :2])}, "FEATURES_SHAPE"),
        ({"features": tensor(HELD.values[0])}, "FEATURES_SHAPE"),
        (
            {"features": common_pb2.Tensor(data=b"1234", shape=[1, 3], dtype="float32")},
            "FEATURES_SHAPE",
        ),
        (
            {"features": common_pb2.Tensor(data=b"", shape=[-1, 0], dtype="float32")},
            "FEATURES_SHAPE",
        ),
        ({"users": ["1"], "model": "tiny"}, "MODEL_NAME_MALFORMED"),
    ],
)
def test_a_wrong_request_is_refused_with_a_reason(stub, fields, reason):
    with pytest.raises(InvalidArgumentError) as caught:
        stub.Predict(pb.PredictRequest(**{"model": "models/tiny"} | fields))
    assert caught.value.reason == reason


@pytest.mark.parametrize("name", ["models/none", "models/tiny/versions/9"])
def test_an_unknown_model_is_not_found(stub, name):
    calls = [
        lambda: stub.Predict(pb.PredictRequest(model=name, users=["1"])),
        lambda: stub.GetModelVersion(pb.GetModelVersionRequest(name=name)),
        lambda: stub.CreateBatchPrediction(
            pb.CreateBatchPredictionRequest(model=name, dataset=NAME)
        ),
        lambda: stub.SetModelAlias(
            pb.SetModelAliasRequest(name="models/tiny/aliases/x", model_version=name)
        ),
    ]
    for call in calls:
        with pytest.raises(NotFoundError) as caught:
            call()
        assert caught.value.reason == "MODEL_VERSION_NOT_FOUND"


def test_versions_are_listed_newest_first_in_pages_and_found_by_alias(stub):
    first = stub.ListModelVersions(pb.ListModelVersionsRequest(model="models/tiny", page_size=1))
    rest = stub.ListModelVersions(
        pb.ListModelVersionsRequest(model="models/tiny", page_token=first.next_page_token)
    )
    names = [version.name for version in [*first.model_versions, *rest.model_versions]]
    assert names == ["models/tiny/versions/2", "models/tiny/versions/1"]
    assert rest.next_page_token == ""
    version = stub.GetModelVersion(
        pb.GetModelVersionRequest(name="models/tiny/aliases/champion")
    ).model_version
    assert version == rest.model_versions[0]
    assert list(version.aliases) == ["champion"]
    assert list(version.features) == list(tiny_model.FEATURES)
    assert (version.dataset_hash, version.feature_set_version) == ("d0", "fs1")
    with pytest.raises(InvalidArgumentError):
        stub.ListModelVersions(pb.ListModelVersionsRequest(model="models/tiny", page_token="x"))


def test_an_alias_moves_what_the_next_request_is_answered_by(tmp_path, model_files):
    registry = ModelRegistry(tmp_path / "registry")
    for dataset_hash in ("d0", "d1"):
        manifest = tiny_model.MANIFEST | {"dataset_hash": dataset_hash}
        registry.publish("tiny", model_files, manifest)
    request = pb.PredictRequest(model="models/tiny", features=tensor(HELD.values[:1]))
    with serving(tmp_path, registry, MemoryDatasets()) as stub:
        assert stub.Predict(request).model_version == "models/tiny/versions/2"
        moved = stub.SetModelAlias(
            pb.SetModelAliasRequest(
                name="models/tiny/aliases/champion", model_version="models/tiny/versions/1"
            )
        )
        assert list(moved.model_version.aliases) == ["champion"]
        assert stub.Predict(request).model_version == "models/tiny/versions/1"


def test_without_a_snapshot_users_are_refused_with_what_to_do_and_rows_are_answered(
    tmp_path, registry, runner
):
    with serving(tmp_path, registry, MemoryDatasets(), lambda _: runner) as stub:
        with pytest.raises(FailedPreconditionError, match="LoadFeatureSnapshot") as caught:
            stub.Predict(pb.PredictRequest(model="models/tiny", users=["1"]))
        assert caught.value.reason == "SNAPSHOT_NOT_LOADED"
        request = pb.PredictRequest(model="models/tiny", features=tensor(HELD.values[:2]))
        assert len(stub.Predict(request).predictions) == 2
        with pytest.raises(NotFoundError):
            stub.LoadFeatureSnapshot(pb.LoadFeatureSnapshotRequest(dataset="datasets/none"))


def test_the_snapshot_loaded_last_is_in_force_again_after_a_restart(tmp_path, registry, runner):
    request = pb.PredictRequest(model="models/tiny", users=["1"])
    later = snapshot(50, seed=1, dataset="datasets/later")
    with serving(tmp_path, registry, MemoryDatasets(HELD, later), lambda _: runner) as stub:
        for name in ("datasets/later", NAME):
            loaded = stub.LoadFeatureSnapshot(pb.LoadFeatureSnapshotRequest(dataset=name))
        assert loaded.user_count == 100
        assert loaded.as_of_time == Timestamp(seconds=int(AS_OF.timestamp()))
        before = stub.Predict(request)
    with serving(tmp_path, registry, MemoryDatasets(HELD, later), lambda _: runner) as stub:
        assert stub.Predict(request) == before
    with (
        serving(tmp_path, registry, MemoryDatasets(later), lambda _: runner) as stub,
        pytest.raises(FailedPreconditionError, match="datasets/scoring") as caught,
    ):
        stub.Predict(request)
    assert caught.value.reason == "SNAPSHOT_NOT_LOADED"


def test_a_batch_is_watched_to_its_end_and_found_again_by_its_request_id(stub):
    request = pb.CreateBatchPredictionRequest(
        model="models/tiny", dataset=NAME, request_id="monthly"
    )
    name = stub.CreateBatchPrediction(request).batch_prediction.name
    watched = stub.WatchBatchPrediction(pb.WatchBatchPredictionRequest(name=name))
    last = [change.batch_prediction for change in watched][-1]
    assert last.state == common_pb2.STATE_SUCCEEDED
    assert (last.model_version, last.dataset) == ("models/tiny/versions/1", NAME)
    assert (last.prediction_count, last.progress.completed_count) == (100, 100)
    assert last.as_of_time.ToDatetime(AS_OF.tzinfo) == AS_OF
    assert last.uri.endswith(".arrow")
    assert stub.CreateBatchPrediction(request).batch_prediction == last
    assert stub.GetBatchPrediction(pb.GetBatchPredictionRequest(name=name)).batch_prediction == last
    listed = stub.ListBatchPredictions(pb.ListBatchPredictionsRequest())
    assert last in listed.batch_predictions
    cancelled = stub.CancelBatchPrediction(pb.CancelBatchPredictionRequest(name=name))
    assert cancelled.batch_prediction == last


def test_a_batch_over_a_missing_dataset_fails_with_the_reason(stub):
    created = stub.CreateBatchPrediction(
        pb.CreateBatchPredictionRequest(model="models/tiny", dataset="datasets/none")
    )
    request = pb.WatchBatchPredictionRequest(name=created.batch_prediction.name)
    last = [change.batch_prediction for change in stub.WatchBatchPrediction(request)][-1]
    assert last.state == common_pb2.STATE_FAILED
    assert "datasets/none" in last.error.message
