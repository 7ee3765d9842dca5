"""`oriel up` as operators meet it: real processes, ports and signals."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from shared.config.claim import ServiceClaim
from shared.config.home import Home
from shared.errors import FailedPreconditionError

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICES = {
    "oriel.ingestion.v1.IngestionService",
    "oriel.feature.v1.FeatureService",
    "oriel.training.v1.TrainingService",
    "oriel.inference.v1.InferenceService",
}


def oriel(home, *arguments):
    """Run a command to its end; return the exit code, standard output and standard error."""
    command = [sys.executable, "-m", "app", "--home", str(home), *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    home = tmp_path_factory.mktemp("operations") / "home"
    assert oriel(home, "init", "--currency", "GBP")[0] == 0
    return home


@pytest.fixture(scope="module")
def running(workspace):
    """Start `oriel up` on free ports; yield the process, its gRPC address and its metrics page."""
    command = [sys.executable, "-m", "app", "--home", str(workspace), "up"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--metrics-port", "0"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("Stop with"):
            break
    text = "".join(said)
    address = re.search(r"gRPC +(\S+)", text)
    page = re.search(r"(http://\S+)", text)
    assert address, text
    assert page, text
    yield process, address[1], page[1]
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    process.stdout.close()


def test_everything_answers_on_one_loopback_port(running):
    _, address, _ = running
    assert address.startswith("127.0.0.1:")
    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", *SERVICES):
            answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        answer = next(iter(reflection.ServerReflectionInfo(iter([request]), timeout=10)))
    assert {each.name for each in answer.list_services_response.service} >= SERVICES


def test_other_commands_find_the_running_server(running, workspace):
    process, address, _ = running
    code, out, err = oriel(workspace, "doctor")
    assert code == 0, err
    assert f"oriel up, process {process.pid}, at {address}" in out
    assert "GBP" in out
    code, out, err = oriel(workspace, "rejects")
    assert (code, out) == (0, "Nothing is rejected.\n"), err


def test_a_second_server_is_refused_and_told_who_holds_the_folder(running, workspace):
    process, _, _ = running
    code, _, err = oriel(workspace, "up", "--port", "0", "--metrics-port", "0")
    assert code == 3
    assert f"process {process.pid}" in err
    assert "Traceback" not in err


def test_a_service_of_its_own_is_refused_where_all_run_in_one_process(running, workspace):
    process, _, _ = running
    with pytest.raises(FailedPreconditionError, match=f"process {process.pid} already is the feat"):
        ServiceClaim(Home(workspace), "feature")


def test_the_metrics_page_counts_calls(running, workspace):
    _, _, page = running
    oriel(workspace, "rejects")
    with urllib.request.urlopen(page, timeout=10) as answer:
        text = answer.read().decode()
    assert 'method="ListRejectedEvents"' in text
    assert "oriel_rpc_duration_seconds_bucket" in text


def test_the_log_is_json_with_a_line_a_call(running, workspace):
    oriel(workspace, "rejects")
    lines = [json.loads(line) for line in (workspace / "logs/oriel.log").read_text().splitlines()]
    calls = [line for line in lines if line["message"] == "rpc"]
    assert {"service", "method", "code", "seconds", "time", "level"} <= set(calls[-1])


def test_predicting_before_anything_was_learned_says_what_to_do(running, workspace):
    code, _, err = oriel(workspace, "predict", "17850")
    assert code == 3
    assert "oriel run" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_in_order(workspace, tmp_path, number):
    home = tmp_path / "home"
    assert oriel(home, "init")[0] == 0
    command = [sys.executable, "-m", "app", "--home", str(home), "up"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--metrics-port", "0"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Stop with"):
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert out.strip() == "stopping"
    assert err == ""
    assert oriel(home, "rejects")[0] == 0
