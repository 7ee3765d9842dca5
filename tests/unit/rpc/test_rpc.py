"""Calls cross the wire with limits, deadlines, errors that stay whole, and one log line each."""

import json
import logging
import threading

import grpc
import pytest
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from oriel.feature.v1 import feature_pb2 as pb
from oriel.feature.v1 import feature_pb2_grpc as pb_grpc
from shared.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from shared.obs import logs
from shared.obs.metrics import REGISTRY
from shared.rpc import Service, connect, error_info, from_status, serve
from shared.rpc.errors import to_status

FEATURE = "oriel.feature.v1.FeatureService"


class Servicer(pb_grpc.FeatureServiceServicer):
    def __init__(self):
        self.arrived, self.release, self.closed = threading.Event(), threading.Event(), []
        self.time_left = None

    def GetDataset(self, request, context):
        self.time_left = context.time_remaining()
        if request.name == "datasets/none":
            raise NotFoundError("no such dataset", reason="DATASET_NOT_FOUND", name=request.name)
        if request.name == "datasets/bug":
            raise RuntimeError("password=hunter2")
        if request.name == "datasets/aborted":
            context.abort(grpc.StatusCode.OUT_OF_RANGE, "on purpose")
        if request.name == "datasets/slow":
            self.arrived.set()
            self.release.wait(5)
        return pb.GetDatasetResponse(dataset=pb.Dataset(name=request.name))

    def WatchDataset(self, request, context):
        yield pb.WatchDatasetResponse(dataset=pb.Dataset(name=request.name, row_count=1))
        if request.name == "datasets/breaks":
            raise FailedPreconditionError("too little data", reason="TOO_LITTLE", rule="as_ofs")
        yield pb.WatchDatasetResponse(dataset=pb.Dataset(name=request.name, row_count=2))


@pytest.fixture
def servicer():
    return Servicer()


def service_of(servicer):
    def register(server):
        pb_grpc.add_FeatureServiceServicer_to_server(servicer, server)

    return Service(FEATURE, register, servicer.closed.append)


@pytest.fixture
def server(servicer):
    with serve([service_of(servicer)], "127.0.0.1:0") as running:
        yield running
        servicer.release.set()


@pytest.fixture
def stub(server):
    with connect(server.address) as channel:
        yield pb_grpc.FeatureServiceStub(channel)


def get(stub, name, **kwargs):
    return stub.GetDataset(pb.GetDatasetRequest(name=name), **kwargs)


def test_an_answer_comes_back(stub):
    assert get(stub, "datasets/a").dataset.name == "datasets/a"


def test_an_error_of_ours_arrives_as_the_same_error(stub):
    with pytest.raises(NotFoundError) as caught:
        get(stub, "datasets/none")
    assert caught.value.reason == "DATASET_NOT_FOUND"
    assert caught.value.message == "no such dataset"
    assert caught.value.metadata == {"name": "datasets/none"}


def test_a_plain_client_sees_the_code_and_error_info(server):
    with grpc.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            get(pb_grpc.FeatureServiceStub(channel), "datasets/none")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert error_info(caught.value).reason == "DATASET_NOT_FOUND"
        assert error_info(caught.value).domain == "oriel"


def test_a_bug_never_tells_its_own_words(stub):
    with pytest.raises(grpc.RpcError) as caught:
        get(stub, "datasets/bug")
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert caught.value.details() == "internal error"


def test_a_status_set_on_purpose_passes(stub):
    with pytest.raises(grpc.RpcError) as caught:
        get(stub, "datasets/aborted")
    assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE


def test_a_stream_ends_with_the_error_of_its_handler(stub):
    answers = stub.WatchDataset(pb.WatchDatasetRequest(name="datasets/breaks"))
    assert next(answers).dataset.row_count == 1
    with pytest.raises(FailedPreconditionError) as caught:
        next(answers)
    assert caught.value.reason == "TOO_LITTLE"


def test_a_whole_stream_arrives_in_order(stub):
    answers = stub.WatchDataset(pb.WatchDatasetRequest(name="datasets/a"))
    assert [answer.dataset.row_count for answer in answers] == [1, 2]


def test_every_call_has_a_deadline(stub, servicer):
    get(stub, "datasets/a")
    assert 0 < servicer.time_left < 125
    get(stub, "datasets/a", timeout=7)
    assert servicer.time_left < 8


def test_a_call_past_its_deadline_says_to_try_again(stub, servicer):
    with pytest.raises(UnavailableError) as caught:
        get(stub, "datasets/slow", timeout=0.05)
    assert caught.value.reason == "DEADLINE_EXCEEDED"
    servicer.release.set()


def test_a_server_that_is_not_there_is_unavailable():
    with connect("127.0.0.1:1") as channel, pytest.raises(UnavailableError):
        get(pb_grpc.FeatureServiceStub(channel), "datasets/a")


def test_one_call_too_many_is_refused_not_queued(servicer):
    with (
        serve([service_of(servicer)], "127.0.0.1:0", maximum_concurrent_rpcs=1) as running,
        connect(running.address) as channel,
    ):
        stub = pb_grpc.FeatureServiceStub(channel)
        answers = []
        slow = threading.Thread(target=lambda: answers.append(get(stub, "datasets/slow")))
        slow.start()
        assert servicer.arrived.wait(5)
        with pytest.raises(ResourceExhaustedError):
            get(stub, "datasets/a")
        servicer.release.set()
        slow.join(5)
        assert answers[0].dataset.name == "datasets/slow"


def test_a_message_over_the_limit_is_refused(stub):
    with pytest.raises(ResourceExhaustedError):
        get(stub, "x" * (17 * 1024 * 1024))


def test_health_says_serving_once_ready_and_knows_each_service(servicer):
    with (
        serve([service_of(servicer)], "127.0.0.1:0", is_ready=False) as running,
        connect(running.address) as channel,
    ):
        health = health_pb2_grpc.HealthStub(channel)
        check = lambda name: health.Check(health_pb2.HealthCheckRequest(service=name)).status  # noqa: E731
        assert check("") == check(FEATURE) == health_pb2.HealthCheckResponse.NOT_SERVING
        running.set_ready()
        assert check("") == check(FEATURE) == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_the_services(server):
    with grpc.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        answer = next(iter(stub.ServerReflectionInfo(iter([request]))))
        names = [service.name for service in answer.list_services_response.service]
    assert FEATURE in names
    assert "grpc.health.v1.Health" in names


def test_stopping_closes_every_service(servicer):
    serve([service_of(servicer)], "127.0.0.1:0").stop(0.5)
    assert servicer.closed == [0.5]


def test_an_address_for_other_machines_needs_to_be_asked_for(servicer):
    with pytest.raises(InvalidArgumentError) as caught:
        serve([service_of(servicer)], "0.0.0.0:0")
    assert caught.value.reason == "NOT_LOOPBACK"


def test_a_taken_port_is_named(server, servicer):
    with pytest.raises(FailedPreconditionError) as caught:
        serve([service_of(servicer)], server.address)
    assert server.address in caught.value.message


def test_each_call_leaves_one_json_line_without_its_content(server, tmp_path):
    file = tmp_path / "oriel.log"
    handler = logs.configure(file)
    try:
        with connect(server.address) as channel, pytest.raises(NotFoundError):
            get(pb_grpc.FeatureServiceStub(channel), "datasets/none")
        server.stop(1.0)  # the line is written after the answer has left
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    [line] = [line for line in lines if line["message"] == "rpc"]
    assert (line["service"], line["method"], line["code"]) == (FEATURE, "GetDataset", "NOT_FOUND")
    assert line["level"] == "INFO"
    assert line["seconds"] >= 0
    assert "datasets/none" not in file.read_text()


def test_calls_are_counted_by_method_and_code(server):
    labels = {"service": FEATURE, "method": "GetDataset", "code": "OK"}
    before = REGISTRY.get_sample_value("oriel_rpc_calls_total", labels) or 0
    with connect(server.address) as channel:
        get(pb_grpc.FeatureServiceStub(channel), "datasets/a")
    server.stop(1.0)
    assert REGISTRY.get_sample_value("oriel_rpc_calls_total", labels) == before + 1


def test_errors_survive_the_way_there_and_back():
    error = NotFoundError("no", reason="GONE", name="x", reason_detail="y")
    back = from_status(to_status(error))
    assert (type(back), back.message, back.reason) == (NotFoundError, "no", "GONE")
    assert back.metadata == error.metadata
    assert from_status(Status(code=13, message="internal error")) is None
