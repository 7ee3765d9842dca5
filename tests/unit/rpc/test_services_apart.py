"""Services at addresses of their own: calls find their way, and what is away is told by name."""

import pytest

from oriel.feature.v1 import feature_pb2 as feature
from oriel.feature.v1 import feature_pb2_grpc as feature_grpc
from oriel.training.v1 import training_pb2 as training
from oriel.training.v1 import training_pb2_grpc as training_grpc
from shared.errors import InvalidArgumentError, UnavailableError
from shared.rpc import Service, connect, connect_each, require_serving, serve
from shared.rpc.__main__ import main as ask_health

FEATURE, TRAINING = "oriel.feature.v1.FeatureService", "oriel.training.v1.TrainingService"


class Features(feature_grpc.FeatureServiceServicer):
    def GetDataset(self, request, context):
        return feature.GetDatasetResponse(dataset=feature.Dataset(name=request.name))

    def WatchDataset(self, request, context):
        yield feature.WatchDatasetResponse(dataset=feature.Dataset(name=request.name))


class Trainings(training_grpc.TrainingServiceServicer):
    def GetTrainingRun(self, request, context):
        run = training.TrainingRun(name=request.name)
        return training.GetTrainingRunResponse(training_run=run)


def features(address="127.0.0.1:0", **settings):
    def register(server):
        feature_grpc.add_FeatureServiceServicer_to_server(Features(), server)

    return serve([Service(FEATURE, register, lambda _: None)], address, **settings)


def trainings():
    def register(server):
        training_grpc.add_TrainingServiceServicer_to_server(Trainings(), server)

    return serve([Service(TRAINING, register, lambda _: None)], "127.0.0.1:0")


def get_dataset(channel):
    request = feature.GetDatasetRequest(name="datasets/a")
    return feature_grpc.FeatureServiceStub(channel).GetDataset(request).dataset.name


def get_run(channel):
    request = training.GetTrainingRunRequest(name="trainingRuns/a")
    return training_grpc.TrainingServiceStub(channel).GetTrainingRun(request).training_run.name


def test_one_channel_carries_the_calls_of_each_service_to_its_address():
    with features() as one, trainings() as other:
        addresses = {FEATURE: one.address, TRAINING: other.address}
        with connect_each(addresses) as channel:
            assert get_dataset(channel) == "datasets/a"
            assert get_run(channel) == "trainingRuns/a"
            watch = feature_grpc.FeatureServiceStub(channel).WatchDataset
            answers = list(watch(feature.WatchDatasetRequest(name="datasets/b")))
            assert [answer.dataset.name for answer in answers] == ["datasets/b"]


def test_a_service_that_is_away_is_named_and_the_others_go_on():
    with features() as one, trainings() as other:
        addresses = {FEATURE: one.address, TRAINING: other.address}
        with connect_each(addresses) as channel:
            assert get_dataset(channel) == "datasets/a"
            one.stop(0)
            with pytest.raises(UnavailableError, match=f"feature service at {one.address}") as away:
                get_dataset(channel)
            assert away.value.reason == "SERVICE_UNREACHABLE"
            assert away.value.metadata == {"service": FEATURE, "address": one.address}
            assert get_run(channel) == "trainingRuns/a"


def test_a_service_that_comes_back_is_found_again():
    with features() as running, connect(running.address) as channel:
        get_dataset(channel)
        running.stop(0)
        with pytest.raises(UnavailableError):
            get_dataset(channel)
        with features(running.address):
            stub = feature_grpc.FeatureServiceStub(channel)
            request = feature.GetDatasetRequest(name="datasets/b")
            answer = stub.GetDataset(request, wait_for_ready=True, timeout=10)
            assert answer.dataset.name == "datasets/b"


def test_health_follows_what_it_is_told():
    with features(is_ready=False) as running:
        with pytest.raises(UnavailableError, match=f"{running.address} is not ready") as waiting:
            require_serving(running.address)
        assert waiting.value.reason == "SERVICE_NOT_READY"
        running.set_ready()
        require_serving(running.address)
        running.set_ready(is_ready=False)
        with pytest.raises(UnavailableError):
            require_serving(running.address)


def test_health_is_asked_from_a_shell(capsys):
    with features() as running:
        assert ask_health([running.address]) == 0
    assert ask_health([running.address]) == 1
    assert running.address in capsys.readouterr().err
    assert ask_health([]) == 2


def test_other_machines_are_not_listened_to_unless_asked():
    with pytest.raises(InvalidArgumentError, match="ORIEL_LISTEN"):
        features("0.0.0.0:0")
    features("0.0.0.0:0", allow_remote=True).stop(0)
