"""Nodes carried by actors of a Ray cluster: who is killed is replaced, and no bit changes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file

from services.training.engine.ps.orders import order_builder
from services.training.engine.ps.recipes import RECIPES
from tests.integration.test_training_group import ORDER
from tests.support.reference_training import reference

pytest.importorskip("ray", reason="Ray is not installed; it comes with the extra `ray`")

# In a process of its own, as a run is: what Ray leaves in a process would be left to other tests.
TRAIN = """
import json, sys
from pathlib import Path
from services.training.adapters.actors import RayNodes
from services.training.adapters.group import NodeGroup, Nodes
folder, order = Path(sys.argv[1]), json.loads(sys.argv[2])
with RayNodes(2) as carrier:
    group = NodeGroup(folder, Nodes(2, 2), save_seconds=0.3, carrier=carrier)
    group.run(order, lambda message: print(json.dumps(message), flush=True))
"""


def actors(driver):
    """Processes that carry a node, in the order of their start."""
    found = psutil.Process(driver.pid).children(recursive=True)
    carrying = {each.ppid() for each in found if "services.training.node" in each.cmdline()}
    hosts = [each for each in found if each.pid in carrying and "_Host" in each.name()]
    return sorted(hosts, key=psutil.Process.create_time)


def settled(lines):
    """Steps that are over; Ray has something to say of killed actors too."""
    said = (json.loads(line) for line in lines if line.startswith("{"))
    return (message["settled"] for message in said if "settled" in message)


@pytest.mark.slow
def test_a_killed_actor_is_replaced_and_the_result_is_that_of_one_device(tmp_path: Path):
    command = [sys.executable, "-c", TRAIN, str(tmp_path), json.dumps(ORDER)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert any(step >= 60 for step in settled(driver.stdout))
        before = actors(driver)
        assert len(before) == 2
        before[0].kill()
        steps = list(settled(driver.stdout))
    assert driver.returncode == 0
    assert max(steps) == 400
    state, _ = reference(order_builder(RECIPES)(ORDER))
    weights = load_file(tmp_path / "out" / "weights.safetensors")
    for name, values in state.weights.items():
        np.testing.assert_array_equal(weights[name], values)
