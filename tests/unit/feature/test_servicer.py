"""The feature service over a real channel and a real engine."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2 as pb
from oriel.feature.v1 import feature_pb2_grpc as rpc
from services.feature.main import FeatureSettings, build
from shared.config.home import DEMO_PSEUDONYM_KEY, Home, WorkspaceSettings
from shared.dataset import DatasetReader
from shared.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from shared.rpc import connect, serve
from tests.support.shops import AS_OF_DAY, QUESTION, ZONE, moment, random_shop


def stamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


@pytest.fixture
def stub(warehouse, tmp_path):
    workspace = WorkspaceSettings(pseudonym_key=DEMO_PSEUDONYM_KEY, time_zone=ZONE, currency="GBP")
    service = build(FeatureSettings(Home(tmp_path), workspace), warehouse)
    with serve([service], "127.0.0.1:0") as server, connect(server.address) as channel:
        yield rpc.FeatureServiceStub(channel)


@pytest.fixture
def shop(warehouse):
    shop = random_shop(7, has_edges=False)
    shop.store(warehouse)
    return shop


def request(purpose=pb.DATASET_PURPOSE_TRAINING, **changes) -> pb.CreateDatasetRequest:
    fields = {
        "prediction_files": [QUESTION],
        "purpose": purpose,
        "as_of_time": stamp(moment(AS_OF_DAY)),
        "request_id": "a",
        **changes,
    }
    return pb.CreateDatasetRequest(**fields)


def finished(stub, asked) -> pb.Dataset:
    name = stub.CreateDataset(asked).dataset.name
    return [each.dataset for each in stub.WatchDataset(pb.WatchDatasetRequest(name=name))][-1]


def test_a_training_dataset_is_built_watched_and_found_again(stub, shop):
    dataset = finished(stub, request())
    assert dataset.state == common_pb2.STATE_SUCCEEDED, dataset.error
    reader = DatasetReader(dataset.uri)
    assert reader.manifest.content_hash == dataset.content_hash
    assert reader.manifest.name == dataset.name
    assert dataset.row_count == len(reader.arrays())
    assert [time.ToDatetime(tzinfo=UTC) for time in dataset.as_of_times] == list(
        reader.manifest.as_ofs
    )
    assert reader.manifest.checks["count"] == reader.manifest.checks["unique"] > 0
    assert stub.CreateDataset(request()).dataset == dataset
    assert stub.GetDataset(pb.GetDatasetRequest(name=dataset.name)).dataset == dataset
    listed = stub.ListDatasets(pb.ListDatasetsRequest()).datasets
    assert [each.name for each in listed] == [dataset.name]


def test_the_same_question_under_another_id_gives_the_same_bytes(stub, shop):
    one, other = finished(stub, request()), finished(stub, request(request_id="b"))
    assert one.name != other.name
    assert one.content_hash == other.content_hash
    for path in Path(one.uri).glob("*.arrow"):
        assert path.read_bytes() == (Path(other.uri) / path.name).read_bytes()


def test_a_scoring_dataset_has_one_row_for_each_known_customer(stub, shop):
    dataset = finished(stub, request(pb.DATASET_PURPOSE_SCORING))
    known = {row.user_key for row in shop.rows if row.user_key}
    rows = DatasetReader(dataset.uri).arrays()
    assert rows.user_keys.tolist() == sorted(known)
    assert rows.active is None
    ordered = rows.features[:, 0] >= 1
    assert (rows.eligible == ordered).all()


def test_without_an_as_of_the_midnight_after_the_last_event_is_taken(stub, shop):
    asked = pb.CreateDatasetRequest(prediction_files=[QUESTION], purpose=pb.DATASET_PURPOSE_SCORING)
    dataset = finished(stub, asked)
    last = max(row.time_ms for row in shop.rows) / 1000
    as_of = dataset.as_of_times[0].ToDatetime(tzinfo=UTC)
    assert 0 < as_of.timestamp() - last <= 86_400
    assert as_of in (moment(AS_OF_DAY), moment(AS_OF_DAY + 1))


def test_explain_says_what_would_be_built_and_builds_nothing(stub, shop, tmp_path):
    answer = stub.ExplainDataset(
        pb.ExplainDatasetRequest(prediction_files=[QUESTION], as_of_time=stamp(moment(AS_OF_DAY)))
    )
    assert all(rule.is_met for rule in answer.rules)
    assert answer.folds[0].name == "evaluation"
    assert answer.folds[-1].name == "final"
    assert len(answer.features) == 42
    assert not (tmp_path / "datasets").exists()
    assert list(finished(stub, request()).as_of_times) == list(answer.as_of_times)


def test_explain_counts_whom_it_asks_about_at_each_instant_and_in_each_fold(stub, shop):
    answer = stub.ExplainDataset(
        pb.ExplainDatasetRequest(prediction_files=[QUESTION], as_of_time=stamp(moment(AS_OF_DAY)))
    )
    assert len(answer.eligible_counts) == len(answer.active_counts) == len(answer.as_of_times)
    assert answer.row_count == sum(answer.eligible_counts)
    final = answer.folds[-1]
    assert final.train_row_count == answer.row_count
    assert final.test_row_count == 0
    assert answer.folds[0].test_row_count == answer.eligible_counts[-1]


def test_a_purchase_file_asks_about_people_who_never_ordered_too(stub, shop):
    purchase = "name: purchase\ntarget: {kind: purchase}\nhorizon: 30d\nas_of: {every: 30d}\n"
    buyers = purchase + "eligible: orders_ever >= 1\n"
    everybody, some = (
        stub.ExplainDataset(
            pb.ExplainDatasetRequest(prediction_files=[text], as_of_time=stamp(moment(AS_OF_DAY)))
        )
        for text in (purchase, buyers)
    )
    assert sum(everybody.eligible_counts) > sum(some.eligible_counts)
    dataset = finished(stub, request(prediction_files=[purchase]))
    assert dataset.state == common_pb2.STATE_SUCCEEDED, dataset.error
    rows = DatasetReader(dataset.uri).arrays()
    assert rows.eligible.all()


def test_many_instants_and_rules_on_features_outside_the_groups_are_served(stub, shop):
    text = QUESTION.replace("every: 30d", "every: 2d").replace(
        "[rfm, windows, trends]", "[windows]"
    )
    dataset = finished(stub, request(prediction_files=[text.replace("folds: auto", "folds: 2")]))
    assert dataset.state == common_pb2.STATE_SUCCEEDED, dataset.error
    reader = DatasetReader(dataset.uri)
    assert len(reader.manifest.as_ofs) > 64
    assert "orders_ever" not in reader.manifest.feature_names
    assert [fold.name for fold in reader.manifest.folds] == ["evaluation", "evaluation_2", "final"]
    sparse = DatasetReader(finished(stub, request(request_id="b")).uri)
    (last,) = sparse.manifest.as_ofs[-1:]
    one, other = reader.arrays([last]), sparse.arrays([last])
    assert (one.eligible == other.eligible).all()
    column = sparse.manifest.feature_names.index("orders_7d")
    assert (one.features[:, 0] == other.features[:, column]).all()


def test_too_little_data_fails_with_each_rule(stub, warehouse):
    random_shop(8, count=12, has_edges=False).store(warehouse)
    dataset = finished(stub, request())
    assert dataset.state == common_pb2.STATE_FAILED
    assert "at least 30 needed" in dataset.error.message
    assert dataset.error.code == FailedPreconditionError.kind.value


def test_without_events_the_message_says_to_import_some(stub):
    dataset = finished(stub, request())
    assert dataset.state == common_pb2.STATE_FAILED
    assert "import events first" in dataset.error.message


def test_events_stored_twice_fail_the_dataset(stub, shop, warehouse):
    shop.store(warehouse)
    dataset = finished(stub, request())
    assert dataset.state == common_pb2.STATE_FAILED
    assert "stored twice" in dataset.error.message


def test_mistakes_in_a_request_are_refused_at_once(stub):
    with pytest.raises(InvalidArgumentError, match="purpose is not set"):
        stub.CreateDataset(request(pb.DATASET_PURPOSE_UNSPECIFIED))
    with pytest.raises(InvalidArgumentError, match="did you mean"):
        stub.CreateDataset(request(prediction_files=[QUESTION.replace("folds", "fold")]))
    with pytest.raises(InvalidArgumentError, match="lies within a day of Europe/London"):
        stub.CreateDataset(request(as_of_time=stamp(datetime(2011, 9, 10, 12, tzinfo=UTC))))
    with pytest.raises(NotFoundError):
        stub.GetDataset(pb.GetDatasetRequest(name="datasets/none"))


def test_a_cancelled_build_leaves_no_folder(stub, shop, tmp_path):
    name = stub.CreateDataset(request()).dataset.name
    stub.CancelDataset(pb.CancelDatasetRequest(name=name))
    last = [each.dataset for each in stub.WatchDataset(pb.WatchDatasetRequest(name=name))][-1]
    assert last.state in (common_pb2.STATE_CANCELLED, common_pb2.STATE_SUCCEEDED)
    if last.state == common_pb2.STATE_CANCELLED:
        assert list((tmp_path / "datasets").glob("*")) == []
