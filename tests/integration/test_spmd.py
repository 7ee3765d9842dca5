"""Any number of devices and processes trains every model to what one device trains it to."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from services.training.models import registered
from tests.support.spmd_process import SOME, small_fit, stop_before

# Compiling is most of the time here, and the same for fast programs as for slow ones.
QUICK_COMPILER = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def start(*arguments, devices=1):
    flags = f"{QUICK_COMPILER} --xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.spmd_process", *map(str, arguments)],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_group(program, processes, *arguments):
    with socket.create_server(("127.0.0.1", 0)) as free:
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    return [start(program, coordinator, processes, n, *arguments) for n in range(processes)]


def finish(process):
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    return tmp_path_factory.mktemp("references")


@pytest.fixture(scope="module")
def on_virtual_devices(references):
    return finish(start("virtual", references, devices=4))


def of_case(results, case):
    return {r["model"]: r["distance"] for r in results if r["case"] == case}


@pytest.mark.parametrize(
    ("case", "tolerance", "models"),
    [
        pytest.param("float64-0", 1e-9, registered(), id="200 steps in float64, sharded over four"),
        pytest.param("float32-0", 1e-6, registered(), id="3 steps in float32, fused on four"),
        pytest.param("halves-0", 1e-6, SOME, id="3 steps in float32, sharded over two"),
    ],
)
def test_devices_train_every_model_as_one_does(on_virtual_devices, case, tolerance, models):
    distances = of_case(on_virtual_devices, case)
    assert set(distances) == set(models)
    assert max(distances.values()) < tolerance, distances


@pytest.mark.parametrize("case", ["lamb-0", "lamb-1"], ids=["fused", "sharded, two then four"])
def test_norms_are_of_whole_layers_however_they_are_shared_out(on_virtual_devices, case):
    assert of_case(on_virtual_devices, case)["mlp"] < 1e-9


@pytest.mark.usefixtures("on_virtual_devices")
def test_a_group_of_two_processes_trains_as_one_device_does(references):
    for results in [finish(process) for process in start_group("group", 2, references)]:
        distances = of_case(results, "group-0")
        assert list(distances) == SOME
        assert max(distances.values()) < 1e-9, distances


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return small_fit(tmp_path_factory.mktemp("whole"), "fused")


def same(parameters, whole):
    assert parameters.keys() == whole.parameters.keys()
    for name, expected in whole.parameters.items():
        np.testing.assert_allclose(parameters[name], expected, rtol=0, atol=1e-9)


def test_a_fit_goes_on_with_any_number_of_devices_and_in_any_mode(whole, tmp_path):
    assert small_fit(tmp_path, "fused", stop_before(3)) is None
    finish(start("fit", tmp_path, 4, devices=2))
    finish(start("fit", tmp_path, 4, devices=3))
    steps = stop_before(15)
    last = small_fit(tmp_path, "lean", lambda: steps() and None)
    same(last.parameters, whole)
    for report, expected in zip(last.history, whole.history, strict=True):
        assert report.train_loss == pytest.approx(expected.train_loss, abs=1e-9)
        assert report.validation_loss == pytest.approx(expected.validation_loss, abs=1e-9)


def wait_for_a_checkpoint(folder: Path):
    deadline = time.monotonic() + 60
    while not list(folder.glob("[0-9]*/commit_success.txt")):
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.05)


def test_a_group_that_lost_a_process_is_started_again_with_more_of_them(whole, tmp_path):
    folder, result = tmp_path / "checkpoints", tmp_path / "weights.npz"
    group = start_group("member", 2, folder, 10, result)
    for process in group:
        assert any(line == "holding\n" for line in process.stdout)
    wait_for_a_checkpoint(folder)
    group[1].kill()
    for process in reversed(group):
        process.communicate()
        assert process.returncode != 0
    assert not result.exists()
    for process in start_group("member", 3, folder, -1, result):
        finish(process)
    same(np.load(result), whole)
