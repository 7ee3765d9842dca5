"""The four services as processes: the same answers, killed one by one, and ended in order."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest

from app.session import open_session
from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2
from oriel.inference.v1 import inference_pb2
from oriel.ingestion.v1 import ingestion_pb2
from oriel.training.v1 import training_pb2
from pipelines.clients import Clients
from pipelines.main_job import MODEL
from pipelines.simulator import simulate
from shared.config.home import DEMO_PSEUDONYM_KEY, Home, WorkspaceSettings
from shared.config.variables import SERVICE_ADDRESSES
from shared.errors import FailedPreconditionError, UnavailableError
from shared.rpc import connect_each

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICES = ("ingestion", "feature", "training", "inference")
USERS = 80

CALLS: dict[str, Callable[[Clients], object]] = {
    "ingestion": lambda clients: clients.ingestion.GetWorkspaceSummary(
        ingestion_pb2.GetWorkspaceSummaryRequest()
    ),
    "feature": lambda clients: clients.feature.ListDatasets(feature_pb2.ListDatasetsRequest()),
    "training": lambda clients: clients.training.ListTrainingRuns(
        training_pb2.ListTrainingRunsRequest()
    ),
    "inference": lambda clients: clients.inference.GetModelVersion(
        inference_pb2.GetModelVersionRequest(name=MODEL)
    ),
}


class Group:
    """`make up-processes`, and what it says."""

    def __init__(self, environ):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.quick_processes"],
            cwd=REPOSITORY,
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._said, self._told = "", threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        self._reader.join()
        self.process.stdout.close()

    def end(self):
        """End it as an operator does; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def times_ready(self, name):
        """How often a service has become ready since the start."""
        return self._said.count(f"{name:<10} ready")

    def wait_until_ready(self, times, names=SERVICES):
        """Wait until services were ready so often."""
        with self._told:
            assert self._told.wait_for(
                lambda: all(self.times_ready(name) >= times for name in names), timeout=90
            ), self._said

    def kill(self, name):
        """Kill a service without a word to it; returns once it is dead."""
        with self._told:
            pid = int(re.findall(rf"^{name} +process (\d+)", self._said, re.MULTILINE)[-1])
        victim = psutil.Process(pid)
        victim.kill()
        victim.wait(10)

    def _read(self):
        for line in self.process.stdout:
            with self._told:
                self._said += line
                self._told.notify_all()


def free_addresses(count):
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{probe.getsockname()[1]}" for probe in probes]


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    return simulate(seed=7, users=USERS).write(tmp_path_factory.mktemp("shop") / "events.jsonl")


@pytest.fixture(scope="module")
def home_of(tmp_path_factory):
    """Make a workspace; equal ones have the same key."""

    def make(name):
        home = Home(tmp_path_factory.mktemp(name) / "home")
        WorkspaceSettings(pseudonym_key=DEMO_PSEUDONYM_KEY, currency="GBP").save(home.settings_file)
        return home

    return make


@pytest.fixture(scope="module")
def addresses():
    return dict(zip(SERVICE_ADDRESSES, free_addresses(4), strict=True))


@pytest.fixture(scope="module")
def environ(home_of, addresses):
    named = {SERVICE_ADDRESSES[service].name: address for service, address in addresses.items()}
    return {**os.environ, **named, "ORIEL_HOME": str(home_of("processes").path)}


@pytest.fixture(scope="module")
def group(environ):
    with Group(environ) as running:
        running.wait_until_ready(1)
        yield running


@pytest.fixture(scope="module")
def clients(addresses):
    with connect_each(addresses) as channel:
        yield Clients(channel)


def job(home, events, environ=os.environ):
    command = [sys.executable, "-m", "tests.support.main_job_alone"]
    return subprocess.Popen(
        [*command, "--home", str(home), "--events", str(events)],
        cwd=REPOSITORY,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return json.loads(out)


def predictions(answers):
    with pa.memory_map(answers["predictions"]) as source:
        return pa.ipc.open_file(source).read_all()


def assert_same(found, expected):
    """Every number within a millionth of its size, everything else equal."""
    assert found.schema == expected.schema
    assert found.num_rows == expected.num_rows > 0
    for name in found.column_names:
        left, right = found[name].to_pylist(), expected[name].to_pylist()
        if left != right:
            np.testing.assert_allclose(
                np.array(left, float), np.array(right, float), rtol=1e-6, err_msg=name
            )


def is_training(clients):
    runs = clients.training.ListTrainingRuns(training_pb2.ListTrainingRunsRequest()).training_runs
    return any(run.state == common_pb2.STATE_RUNNING for run in runs)


@pytest.fixture(scope="module")
def interrupted(group, clients, environ, events):
    """Do the job with the processes; training is killed under way, and the job is given again."""
    first = job(environ["ORIEL_HOME"], events, environ)
    while first.poll() is None and not is_training(clients):
        time.sleep(0.05)
    group.kill("training")
    _, err = first.communicate(timeout=60)
    group.wait_until_ready(2, ("training",))
    return err, ended(job(environ["ORIEL_HOME"], events, environ))


def test_a_job_whose_service_is_killed_names_it_and_goes_on_when_given_again(
    interrupted, clients, addresses
):
    err, answers = interrupted
    address = addresses["oriel.training.v1.TrainingService"]
    assert f"UnavailableError: the training service at {address} cannot be reached" in err
    runs = clients.training.ListTrainingRuns(training_pb2.ListTrainingRunsRequest()).training_runs
    assert [(run.state, run.model_version) for run in runs] == [
        (common_pb2.STATE_SUCCEEDED, answers["model"])
    ]


@pytest.mark.usefixtures("group")
def test_four_processes_predict_as_one_process_does(interrupted, home_of, events):
    _, apart = interrupted
    together = ended(job(home_of("embedded").path, events))
    assert apart["training_hash"] == together["training_hash"]
    assert apart["scoring_hash"] == together["scoring_hash"]
    assert_same(predictions(apart), predictions(together))


def test_each_service_that_is_killed_is_named_while_the_others_answer(
    interrupted, group, clients, addresses
):
    before = {name: call(clients) for name, call in CALLS.items()}
    times = {name: group.times_ready(name) + 1 for name in SERVICES}
    for service, address in addresses.items():
        name = service.split(".")[1]
        group.kill(name)
        with pytest.raises(UnavailableError, match=f"the {name} service at {address}") as caught:
            CALLS[name](clients)
        assert caught.value.reason == "SERVICE_UNREACHABLE"
        group.wait_until_ready(times[name], (name,))
        assert {each: call(clients) for each, call in CALLS.items()} == before


def test_an_embedded_oriel_is_refused_where_processes_run(group, environ):
    home = Home(Path(environ["ORIEL_HOME"]))
    with (
        pytest.raises(
            FailedPreconditionError, match=r"process \d+ already is the ingestion service"
        ),
        open_session(home, "test"),
    ):
        pass


def test_a_second_process_of_a_service_is_refused(group, environ):
    elsewhere = {"ORIEL_FEATURE_ADDRESS": free_addresses(1)[0], "ORIEL_WAREHOUSE": "clickhouse://x"}
    code, err = service("feature", {**environ, **elsewhere})
    assert code == 3
    assert "already is the feature service" in err


def test_a_wrong_environment_ends_a_service_and_every_mistake_is_named():
    code, err = service("training", {"ORIEL_HOME": "/nowhere", "ORIEL_LOG_LEVEL": "loud"})
    assert code == 2
    named = re.findall(r"^error: (ORIEL_\w+)", err, re.MULTILINE)
    assert named == ["ORIEL_FEATURE_ADDRESS", "ORIEL_TRAINING_ADDRESS", "ORIEL_LOG_LEVEL"]


def test_a_signal_ends_all_in_order(group, environ):
    assert group.end() == 0
    for name in SERVICES:
        lines = (Path(environ["ORIEL_HOME"]) / "logs" / f"{name}.log").read_text().splitlines()
        assert [json.loads(line)["message"] for line in lines[-2:]] == ["stopping", "stopped"]


def service(name, environ):
    """Run a service that cannot start; return its exit code and what it says."""
    done = subprocess.run(
        [sys.executable, "-m", f"services.{name}"],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr
