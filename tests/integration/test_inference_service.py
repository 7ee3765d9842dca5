"""The composed service on a real warehouse and a real dataset folder."""

from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
import pytest
from jax import export

from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2, feature_pb2_grpc
from oriel.inference.v1 import inference_pb2 as pb
from oriel.inference.v1 import inference_pb2_grpc as rpc
from services.inference.main import InferenceSettings, build
from shared.config.home import Home, WorkspaceSettings
from shared.dataset import DatasetArrays, DatasetWriter, FeatureColumn, Manifest
from shared.errors import FailedPreconditionError, InvalidArgumentError
from shared.names import user_key
from shared.registry import ModelRegistry
from shared.rpc import Service, connect, serve
from shared.warehouse import migrate, open_embedded
from tests.unit.inference import tiny_model
from tests.unit.inference.stand_ins import AS_OF

SECRET = b"a key for tests!"
IDENTITY = pa.schema(
    [
        ("message_id", pa.string()),
        ("from_key", pa.uint64()),
        ("to_key", pa.uint64()),
        ("kind", pa.string()),
        ("event_time", pa.timestamp("ms", "UTC")),
        ("ingest_time", pa.timestamp("ms", "UTC")),
    ]
)
USERS = [f"customer {number}" for number in range(300)]


class Datasets(feature_pb2_grpc.FeatureServiceServicer):
    """Stands for the feature service: knows finished, running and training datasets."""

    def __init__(self, folder):
        self._folder = folder

    def GetDataset(self, request, context):
        purpose, state = {
            "datasets/scoring": ("SCORING", "SUCCEEDED"),
            "datasets/running": ("SCORING", "RUNNING"),
            "datasets/training": ("TRAINING", "SUCCEEDED"),
        }[request.name]
        dataset = feature_pb2.Dataset(
            name=request.name,
            uri=str(self._folder),
            purpose=feature_pb2.DatasetPurpose.Value(f"DATASET_PURPOSE_{purpose}"),
            state=common_pb2.State.Value(f"STATE_{state}"),
        )
        return feature_pb2.GetDatasetResponse(dataset=dataset)


def write_dataset(folder):
    keys = np.sort(np.array([user_key(SECRET, user) for user in USERS], np.uint64))
    values = np.floor(tiny_model.rows(len(keys)))
    arrays = DatasetArrays(
        keys,
        np.full(len(keys), AS_OF.replace(tzinfo=None), "datetime64[ms]"),
        np.arange(len(keys)) % 7 != 0,
        values,
    )
    with DatasetWriter(folder, tiny_model.FEATURES) as writer:
        for rows in (slice(0, 120), slice(120, None)):
            writer.append(arrays.rows(rows))
        writer.finish(
            lambda written: Manifest(
                name="scoring",
                purpose="scoring",
                predictions=("churn_90d",),
                features=tuple(
                    FeatureColumn(name, name, "count", "count") for name in tiny_model.FEATURES
                ),
                feature_set_version="fs1",
                as_ofs=(AS_OF,),
                known_at=AS_OF,
                horizon_days=90,
                time_zone="UTC",
                currency="GBP",
                eligible_rule="orders_ever >= 1",
                folds=(),
                row_count=written.row_count,
                user_count=written.user_count,
                content_hash=written.content_hash,
                shards=written.shards,
                statistics=written.statistics,
                sql="",
            )
        )
    return arrays


@contextmanager
def inference(home):
    """Serve the composed service beside a stand-in of the feature service."""
    warehouse = open_embedded(home.path / "warehouse")
    migrate(warehouse)
    datasets = Datasets(home.datasets_path / "scoring")
    features = Service(
        "oriel.feature.v1.FeatureService",
        lambda server: feature_pb2_grpc.add_FeatureServiceServicer_to_server(datasets, server),
        lambda grace: None,
    )
    settings = InferenceSettings(home, WorkspaceSettings(pseudonym_key=SECRET, currency="GBP"))
    with (
        serve([features], "127.0.0.1:0") as beside,
        connect(beside.address) as channel,
        serve([build(settings, warehouse, channel)], "127.0.0.1:0") as server,
        connect(server.address) as own,
    ):
        yield rpc.InferenceServiceStub(own), warehouse
    warehouse.close()


def furnish(folder):
    """Return a home with a published model and a scoring dataset."""
    home = Home(folder)
    ModelRegistry(home.registry_path).publish("tiny", tiny_model.files(), tiny_model.MANIFEST)
    write_dataset(home.datasets_path / "scoring")
    return home


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def served(home):
    with inference(home) as (stub, warehouse):
        yield stub, warehouse


def predict_all(stub, request_id):
    created = stub.CreateBatchPrediction(
        pb.CreateBatchPredictionRequest(
            model="models/tiny", dataset="datasets/scoring", request_id=request_id
        )
    )
    request = pb.WatchBatchPredictionRequest(name=created.batch_prediction.name)
    last = [change.batch_prediction for change in stub.WatchBatchPrediction(request)][-1]
    assert last.state == common_pb2.STATE_SUCCEEDED, last.error
    return last


def read(uri):
    return pa.ipc.open_file(Path(uri).read_bytes()).read_all()


def test_request_batch_and_raw_program_say_the_same_of_every_user(served, home):
    stub, _ = served
    stub.LoadFeatureSnapshot(pb.LoadFeatureSnapshotRequest(dataset="datasets/scoring"))
    asked = stub.Predict(pb.PredictRequest(model="models/tiny", users=USERS, has_reasons=True))
    told = {prediction.user_key: prediction for prediction in asked.predictions}
    rows = read(predict_all(stub, "agree").uri)
    arrays = write_dataset(home.path / "raw")
    program = export.deserialize(
        bytearray(ModelRegistry(home.registry_path).get("models/tiny").read("predict.jaxexport"))
    )
    raw = jax.jit(program.call)(tiny_model.WEIGHTS, arrays.features, arrays.eligible)
    assert rows["user_key"].to_pylist() == arrays.user_keys.tolist()
    for row, active in zip(rows.to_pylist(), np.asarray(raw["active_probability"]), strict=True):
        prediction = told[row["user_key"]]
        assert row["active_probability"] == prediction.active_probability
        assert row["active_probability"] == pytest.approx(active, rel=1e-6)
        assert row["expected_value_micros"] == prediction.expected_value_micros
        assert bool(prediction.reasons) == row["eligible"]


def test_reasons_are_in_a_marketers_words_and_money(served):
    stub, _ = served
    stub.LoadFeatureSnapshot(pb.LoadFeatureSnapshotRequest(dataset="datasets/scoring"))
    asked = stub.Predict(pb.PredictRequest(model="models/tiny", users=USERS, has_reasons=True))
    texts = [reason.text for each in asked.predictions for reason in each.reasons]
    assert any(text.startswith("last ordered ") for text in texts)
    assert any(text.startswith("has spent ") and text.endswith(" GBP in all") for text in texts)


def test_every_user_is_logged_once_however_often_the_batch_runs(served):
    stub, warehouse = served
    first, second = (read(predict_all(stub, request_id).uri) for request_id in ("one", "two"))
    assert first.equals(second)
    [counts] = warehouse.query(
        "SELECT count() AS n, uniqExact(prediction_id) AS ids, uniqExact(user_key) AS users "
        "FROM predictions"
    ).to_pylist()
    assert counts == {"n": 300, "ids": 300, "users": 300}


@pytest.mark.parametrize(
    ("dataset", "error", "reason"),
    [
        ("datasets/running", FailedPreconditionError, "DATASET_NOT_READY"),
        ("datasets/training", InvalidArgumentError, "DATASET_NOT_FOR_SCORING"),
    ],
)
def test_a_dataset_that_cannot_be_scored_is_refused(served, dataset, error, reason):
    stub, _ = served
    with pytest.raises(error) as caught:
        stub.LoadFeatureSnapshot(pb.LoadFeatureSnapshotRequest(dataset=dataset))
    assert caught.value.reason == reason


def test_a_missing_dataset_folder_is_told(served, home):
    stub, _ = served
    hidden = home.datasets_path / "hidden"
    (home.datasets_path / "scoring").rename(hidden)
    try:
        with pytest.raises(FailedPreconditionError) as caught:
            stub.LoadFeatureSnapshot(pb.LoadFeatureSnapshotRequest(dataset="datasets/scoring"))
    finally:
        hidden.rename(home.datasets_path / "scoring")
    assert caught.value.reason == "DATASET_MISSING"


def test_a_customer_under_two_ids_is_one_person_from_when_that_is_known(served):
    stub, warehouse = served
    edge = {
        "message_id": "m1",
        "from_key": user_key(SECRET, USERS[3]),
        "to_key": user_key(SECRET, "customer 3 at the till"),
        "kind": "alias",
        "event_time": AS_OF - timedelta(days=1),
        "ingest_time": AS_OF,
    }
    too_late = edge | {"to_key": user_key(SECRET, "later"), "event_time": AS_OF}
    for row in (edge, too_late):
        warehouse.insert("identity", pa.Table.from_pylist([row], IDENTITY))
    stub.LoadFeatureSnapshot(pb.LoadFeatureSnapshotRequest(dataset="datasets/scoring"))
    users = [USERS[3], "customer 3 at the till", "later"]
    answer = stub.Predict(pb.PredictRequest(model="models/tiny", users=users))
    first, second, later = answer.predictions
    assert first.active_probability == second.active_probability
    assert (first.status, second.status) == (pb.PREDICTION_STATUS_PREDICTED,) * 2
    assert later.status == pb.PREDICTION_STATUS_UNKNOWN_USER
