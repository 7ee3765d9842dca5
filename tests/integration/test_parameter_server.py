"""Nodes as processes of their own, over sockets, end with the bits of one device."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from services.training.engine.environment import worker_environment
from services.training.engine.ps.orders import order_builder
from services.training.engine.ps.recipes import RECIPES
from tests.support.reference_training import reference

ORDER = {
    "recipe": "dense",
    "arguments": {"widths": [20, 64, 64, 5], "rows": 64},
    "fit": {
        "batch_size": 32,
        "micro_batches": 2,
        "epochs": 3,
        "optimizer": {"kind": "adamw", "clip_norm": None},
    },
    "sharing": {"owners": 2, "schedule": {"kind": "prio", "piece_bytes": 4096}},
    "seed": 4,
}


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "services.training.node", *arguments],
        env=worker_environment({"PATH": "", "JAX_PLATFORMS": "cpu"}),
        stdout=subprocess.PIPE,
        text=True,
    )


def train(order, folder: Path, roles, workers, servers):
    """Run a group to its end; the weights and losses it wrote."""
    (folder / "order.json").write_text(json.dumps(order))
    coordinator = start(
        *("--role", "coordinator", "--order", str(folder / "order.json")),
        *("--workers", str(workers), "--servers", str(servers), "--out", str(folder / "out")),
    )
    nodes = []
    try:
        address = json.loads(coordinator.stdout.readline())["listening"]
        nodes = [start("--role", role, "--coordinator", address) for role in roles]
        assert [each.wait(120) for each in [coordinator, *nodes]] == [0] * (1 + len(nodes))
    finally:
        for each in [coordinator, *nodes]:
            each.kill()
            each.wait()
            each.stdout.close()
    outcome = json.loads((folder / "out" / "outcome.json").read_text())
    return load_file(folder / "out" / "weights.safetensors"), outcome["losses"]


@pytest.mark.parametrize(
    ("roles", "workers", "servers"),
    [(["both", "both"], 2, 2), (["server", "worker", "worker"], 2, 1)],
)
def test_processes_end_with_the_bits_of_one_device(tmp_path, roles, workers, servers):
    state, losses = reference(order_builder(RECIPES)(ORDER))
    weights, said = train(ORDER, tmp_path, roles, workers, servers)
    assert said == losses
    for name, values in state.weights.items():
        np.testing.assert_array_equal(weights[name], values)
