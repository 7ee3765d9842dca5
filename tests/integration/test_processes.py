"""The four services as processes: killed under a job, the same answers, and ended in order."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest

from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2
from oriel.inference.v1 import inference_pb2
from oriel.ingestion.v1 import ingestion_pb2
from oriel.training.v1 import training_pb2
from pipelines.clients import Clients
from pipelines.main_job import MainJob, run
from pipelines.simulator import simulate
from shared.config.claim import ServiceClaim
from shared.config.home import DEMO_PSEUDONYM_KEY, Home, WorkspaceSettings
from shared.config.variables import SERVICE_ADDRESSES
from shared.errors import FailedPreconditionError, UnavailableError
from shared.rpc import connect_each
from tests.support.main_job_alone import Silent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("programs_kept"),
]

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
    "inference": lambda clients: clients.inference.ListBatchPredictions(
        inference_pb2.ListBatchPredictionsRequest()
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


def predictions(uri):
    with pa.memory_map(uri) as source:
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


def job_on(events):
    return MainJob(str(events), mapping="segment", source="simulator", seed=7)


def is_training(clients):
    runs = clients.training.ListTrainingRuns(training_pb2.ListTrainingRunsRequest()).training_runs
    return any(run.state == common_pb2.STATE_RUNNING for run in runs)


@pytest.fixture(scope="module")
def errors(group, clients, events):
    """Start the job and kill every service while it trains; return what each call then met."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(run, clients, job_on(events), Silent())
        while not done.done() and not is_training(clients):
            time.sleep(0.05)
        found = {}
        for position, name in enumerate(CALLS):
            group.kill(name)
            with pytest.raises(UnavailableError) as caught:
                CALLS[name](clients)
            found[name] = caught.value
            for other in list(CALLS)[position + 1 :]:
                CALLS[other](clients)
        found["job"] = done.exception(timeout=60)
    group.wait_until_ready(2)
    return found


@pytest.fixture(scope="module")
def answers(errors, clients, events):
    """Give the same job again, to services that have all been killed under it."""
    return run(clients, job_on(events), Silent())


@pytest.mark.parametrize("name", CALLS)
def test_a_service_that_is_killed_is_named_while_those_that_live_answer(errors, addresses, name):
    service = f"oriel.{name}.v1.{name.title()}Service"
    assert f"the {name} service at {addresses[service]} cannot be reached" in str(errors[name])
    assert errors[name].reason == "SERVICE_UNREACHABLE"
    assert errors[name].metadata == {"service": service, "address": addresses[service]}


def test_a_job_whose_service_is_killed_says_so_and_goes_on_when_given_again(
    errors, answers, clients
):
    assert isinstance(errors["job"], UnavailableError)
    assert "the training service at" in str(errors["job"])
    runs = clients.training.ListTrainingRuns(training_pb2.ListTrainingRunsRequest()).training_runs
    assert [(run.state, run.model_version) for run in runs] == [
        (common_pb2.STATE_SUCCEEDED, answers.model.name)
    ]


def test_one_process_builds_the_same_datasets_and_predicts_the_same(
    answers, environ, home_of, events
):
    apart, together = Path(environ["ORIEL_HOME"]), home_of("embedded").path
    for learned in ("registry", "runs", "jobs/training"):
        # Asked for under the same id, as equal datasets are, training is not done twice.
        shutil.copytree(apart / learned, together / learned)
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.main_job_alone", str(together), str(events)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["training_hash"] == answers.training.content_hash
    assert said["scoring_hash"] == answers.scoring.content_hash
    assert len(list((together / "jobs" / "training").iterdir())) == 1
    assert_same(predictions(said["predictions"]), predictions(answers.batch.uri))


def test_no_other_process_may_be_a_service_of_that_folder(group, environ):
    with pytest.raises(FailedPreconditionError, match=r"process \d+ already is the feature"):
        ServiceClaim(Home(Path(environ["ORIEL_HOME"])), "feature")


def test_a_signal_ends_all_in_order(group, environ):
    assert group.end() == 0
    for name in SERVICES:
        lines = (Path(environ["ORIEL_HOME"]) / "logs" / f"{name}.log").read_text().splitlines()
        assert [json.loads(line)["message"] for line in lines[-2:]] == ["stopping", "stopped"]
