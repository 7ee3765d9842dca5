"""The training service over real gRPC with real worker processes."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import psutil
import pytest

from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2, feature_pb2_grpc
from oriel.training.v1 import training_pb2 as pb
from oriel.training.v1 import training_pb2_grpc
from services.training.adapters.supervisor import Supervisor
from services.training.main import TrainingSettings, build
from services.training.runs.config import RunConfig
from services.training.runs.folder import RunFolder
from shared.config.home import Home, WorkspaceSettings
from shared.config.prediction import shipped_text
from shared.dataset import read_manifest
from shared.errors import InvalidArgumentError, NotFoundError
from shared.registry import ModelRegistry
from shared.rpc import Service, connect, from_status, serve
from tests.unit.training import shop

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("programs_kept")]

FILES = [shipped_text(name) for name in shop.PREDICTIONS]
QUICK = RunConfig(members=2, epochs=2, bootstrap_samples=20)
WORKSPACE = WorkspaceSettings(pseudonym_key=b"k" * 16, currency="GBP")


class Datasets(feature_pb2_grpc.FeatureServiceServicer):
    """Answers GetDataset for folders on disk."""

    def __init__(self, folders):
        self._folders = folders

    def GetDataset(self, request, context):
        if request.name not in self._folders:
            raise NotFoundError("there is no such dataset", reason="DATASET_NOT_FOUND")
        folder = self._folders[request.name]
        manifest = read_manifest(folder)
        dataset = feature_pb2.Dataset(
            name=request.name,
            predictions=manifest.predictions,
            purpose=feature_pb2.DATASET_PURPOSE_TRAINING,
            state=common_pb2.STATE_SUCCEEDED,
            uri=str(folder),
            content_hash=manifest.content_hash,
        )
        return feature_pb2.GetDatasetResponse(dataset=dataset)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("datasets") / "shop"
    shop.write(folder)
    return folder


@contextmanager
def running(home, folders, supervisor=None):
    """A stub of a training service, beside a feature service that knows these datasets."""

    def register(server):
        feature_pb2_grpc.add_FeatureServiceServicer_to_server(Datasets(folders), server)

    features = Service("oriel.feature.v1.FeatureService", register, lambda grace: None)
    settings = TrainingSettings(Home(home), WORKSPACE, QUICK)
    with serve([features], "127.0.0.1:0") as beside, connect(beside.address) as channel:
        service = build(settings, channel, supervisor)
        with serve([service], "127.0.0.1:0") as server, connect(server.address) as own:
            yield training_pb2_grpc.TrainingServiceStub(own)


def request(**changes):
    asked = {
        "model": "models/customers",
        "dataset": "datasets/shop",
        "prediction_files": FILES,
        "seed": 1,
        "request_id": "one",
    }
    return pb.CreateTrainingRunRequest(**{**asked, **changes})


def ended(stub, started):
    watch = stub.WatchTrainingRun(pb.WatchTrainingRunRequest(name=started.name))
    return [answer.training_run for answer in watch]


def script(text):
    """A supervisor whose worker is a few lines of Python."""
    return Supervisor((sys.executable, "-c", text))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, folder):
    """One run by real workers: its home, its states as watched, and its second asking."""
    home = tmp_path_factory.mktemp("home")
    with running(home, {"datasets/shop": folder}) as stub:
        asked = request(has_layer_times=True)
        started = stub.CreateTrainingRun(asked).training_run
        states = ended(stub, started)
        again = stub.CreateTrainingRun(asked).training_run
        listed = stub.ListTrainingRuns(pb.ListTrainingRunsRequest()).training_runs
    return home, states, again, listed


def test_a_run_publishes_a_version_and_tells_its_losses(trained):
    home, states, _, listed = trained
    last = states[-1]
    assert last.state == common_pb2.STATE_SUCCEEDED, last.error
    assert last.model_version == "models/customers/versions/1"
    assert {loss.fold for loss in last.losses} == {"evaluation", "final"}
    assert last.throughput.steps_per_second > 0
    assert last.progress.completed_count == last.progress.total_count == 8
    version = ModelRegistry(Home(home).registry_path).get("models/customers")
    assert "| AUC (churn) |" in version.read("model_card.md").decode()
    assert [run.name for run in listed] == [last.name]


def test_the_run_folder_holds_config_log_progress_and_evaluation(trained):
    _, states, _, _ = trained
    names = set(os.listdir(states[-1].uri))
    assert {"config.yaml", "log.txt", "progress.jsonl", "evaluation.json", "artefacts"} <= names


def test_a_run_says_how_fast_it_goes_while_it_goes(trained):
    _, states, _, _ = trained
    fitting = [run for run in states if run.progress.message.endswith(" steps/s")]
    assert fitting
    assert all(run.throughput.samples_per_second > 0 for run in fitting)


def test_a_run_leaves_the_time_of_each_layer_as_numbers_a_trace_and_a_chart(trained):
    _, states, _, _ = trained
    layers = states[-1].layers
    assert [layer.name for layer in layers] == ["stem", "block0", "block1", "heads"]
    assert all(layer.parameter_count > 0 for layer in layers)
    assert all(min(layer.forward_seconds, layer.backward_seconds) > 0 for layer in layers)
    folder = Path(states[-1].uri)
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    assert [event["name"] for event in events[:4]] == [layer.name for layer in layers]
    assert (folder / "layers.svg").read_text().startswith("<svg")


def test_the_same_request_is_the_same_run(trained):
    _, states, again, _ = trained
    assert (again.name, again.state) == (states[-1].name, common_pb2.STATE_SUCCEEDED)


def has_losses_of(fold):
    return lambda run: any(loss.fold == fold for loss in run.losses)


def killed_when(stub, started, is_moment):
    """Kill the worker when the run stands so; return the run as it ended."""
    for answer in stub.WatchTrainingRun(pb.WatchTrainingRunRequest(name=started.name)):
        run = answer.training_run
        if is_moment(run):
            for child in psutil.Process().children():
                with suppress(psutil.NoSuchProcess):  # killed a moment ago and not yet waited for
                    if "services.training.worker" in " ".join(child.cmdline()):
                        child.kill()
    return run


def test_a_worker_killed_twice_goes_on_each_time_and_publishes_the_very_same_bytes(
    trained, folder, tmp_path
):
    saving_every_step = script(
        "import sys; from services.training.worker import main; sys.exit(main(sys.argv[1:], 0.0))"
    )
    with running(tmp_path, {"datasets/shop": folder}, saving_every_step) as stub:
        for fold in ("evaluation", "final"):
            started = stub.CreateTrainingRun(request()).training_run
            ended_run = killed_when(stub, started, has_losses_of(fold))
            assert ended_run.state == common_pb2.STATE_FAILED
            assert "SIGKILL" in ended_run.error.message
        checkpoints = Path(ended_run.uri) / "checkpoints"
        fits = {file.name: file.stat().st_ino for file in checkpoints.glob("*.safetensors")}
        assert {"evaluation-0.safetensors", "evaluation-1.safetensors"} <= set(fits)

        def was_fitted_again(run):
            now = {file.name: file.stat().st_ino for file in checkpoints.glob("*.safetensors")}
            return has_losses_of("final")(run) and bool(now) and not fits.items() <= now.items()

        last = killed_when(stub, stub.CreateTrainingRun(request()).training_run, was_fitted_again)
    assert last.state == common_pb2.STATE_SUCCEEDED, last.error
    assert not checkpoints.exists()
    one = ModelRegistry(Home(trained[0]).registry_path).get("models/customers")
    other = ModelRegistry(Home(tmp_path).registry_path).get("models/customers")
    assert one.manifest == other.manifest


@pytest.fixture(scope="module")
def refusing(tmp_path_factory, folder):
    home = tmp_path_factory.mktemp("refusing")
    with running(home, {"datasets/shop": folder}) as stub:
        yield stub


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"dataset": "datasets/none"}, NotFoundError, "DATASET_NOT_FOUND"),
        ({"model": "customers"}, InvalidArgumentError, "MODEL_NAME_MALFORMED"),
        ({"prediction_files": []}, InvalidArgumentError, "PREDICTION_FILES_EMPTY"),
        ({"prediction_files": ["name: ["]}, InvalidArgumentError, "PREDICTION_FILE_INVALID"),
        ({"seed": -1}, InvalidArgumentError, "SEED_INVALID"),
        (
            {"placement": pb.Placement(worker_count=2)},
            InvalidArgumentError,
            "PLACEMENT_INVALID",
        ),
        (
            {"placement": pb.Placement(worker_count=1, server_count=1, group_count=64)},
            InvalidArgumentError,
            "PLACEMENT_INVALID",
        ),
        (
            {
                "prediction_files": [FILES[0].replace("kind: churn", "kind: next_order")],
                "placement": pb.Placement(worker_count=1, server_count=1),
            },
            InvalidArgumentError,
            "PLACEMENT_INVALID",
        ),
        (
            {"prediction_files": [FILES[0].replace("churn_90d", "other")]},
            InvalidArgumentError,
            "DATASET_FOR_OTHER_PREDICTIONS",
        ),
        (
            {"prediction_files": [FILES[0], FILES[1].replace("mlp}", "mlp, width: 8}")]},
            InvalidArgumentError,
            "MODELS_DIFFER",
        ),
        (
            {"prediction_files": [FILES[0].replace("mlp}", "mlp, widht: 8}")]},
            InvalidArgumentError,
            "MODEL_KEY_UNKNOWN",
        ),
        (
            {"prediction_files": [FILES[0].replace("type: mlp", "type: lenet5")]},
            InvalidArgumentError,
            "MODEL_NOT_FOR_TABLES",
        ),
    ],
)
def test_a_wrong_request_is_refused_before_any_work(refusing, changes, error, reason):
    with pytest.raises(error) as caught:
        refusing.CreateTrainingRun(request(**changes))
    assert caught.value.reason == reason


def test_a_dataset_too_small_fails_the_run_and_names_the_rule(tmp_path):
    shop.write(tmp_path / "tiny", user_count=10)
    with running(tmp_path / "home", {"datasets/shop": tmp_path / "tiny"}) as stub:
        last = ended(stub, stub.CreateTrainingRun(request()).training_run)[-1]
    assert last.state == common_pb2.STATE_FAILED
    assert last.error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    metadata = from_status(last.error).metadata
    assert (metadata["rule"], metadata["threshold"]) == ("eligible training rows", "100")


def test_a_killed_worker_fails_its_run_with_the_log_and_never_the_service(folder, tmp_path):
    suicide = script(
        "import os, signal, sys; print('about to break', file=sys.stderr, flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    with running(tmp_path, {"datasets/shop": folder}, suicide) as stub:
        last = ended(stub, stub.CreateTrainingRun(request()).training_run)[-1]
        assert last.state == common_pb2.STATE_FAILED
        assert "SIGKILL" in last.error.message
        error = from_status(last.error)
        assert error.reason == "TRAINING_WORKER_DIED"
        assert "about to break" in error.metadata["log"]
        assert stub.GetTrainingRun(pb.GetTrainingRunRequest(name=last.name))  # still answers


def test_cancelling_ends_the_worker(folder, tmp_path):
    waiting = script(
        'import sys; print(\'{"kind": "progress", "completed": 1, "total": 2, '
        '"message": "waiting"}\', flush=True); sys.stdin.read()'
    )
    others = set(psutil.Process().children())
    with running(tmp_path, {"datasets/shop": folder}, waiting) as stub:
        started = stub.CreateTrainingRun(request()).training_run
        watch = stub.WatchTrainingRun(pb.WatchTrainingRunRequest(name=started.name))
        for answer in watch:
            if answer.training_run.progress.completed_count == 1:
                stub.CancelTrainingRun(pb.CancelTrainingRunRequest(name=started.name))
            last = answer.training_run
    assert last.state == common_pb2.STATE_CANCELLED
    assert set(psutil.Process().children()) <= others


def test_a_worker_starts_with_the_memory_settings_of_training(tmp_path, monkeypatch):
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "7")  # what a person set stays
    asking = script(
        "import os, sys; names = ('MALLOC_MMAP_MAX_', 'MALLOC_TRIM_THRESHOLD_', 'OMP_NUM_THREADS');"
        "print(*(os.environ[name] for name in names), file=sys.stderr)"
    )
    folder = RunFolder(tmp_path)
    asking.run(folder, print, lambda: False)
    assert folder.log_end().split() == ["7", "100000000000", "1"]


def test_a_worker_ends_when_its_supervisor_is_killed(tmp_path):
    code = (
        "import pathlib, sys;"
        "from services.training.adapters.supervisor import Supervisor;"
        "from services.training.runs.folder import RunFolder;"
        f"folder = RunFolder(pathlib.Path({str(tmp_path)!r}));"
        "worker = (sys.executable, '-m', 'services.training.worker');"
        "wait = 'import services.training.orphans as w, threading, sys;"
        " threading.Thread(target=w.end_with_parent).start()';"
        "Supervisor((sys.executable, '-c', wait)).run(folder, print, lambda: False)"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", code])
    try:
        worker = _only_child(supervisor)
        supervisor.send_signal(signal.SIGKILL)
        supervisor.wait(10)
        worker.wait(10)
    finally:
        supervisor.kill()
    assert not worker.is_running()


def _only_child(process):
    parent = psutil.Process(process.pid)
    for _ in range(1200):
        children = parent.children()
        if children:
            return children[0]
        time.sleep(0.05)
    raise AssertionError("no worker was started")
