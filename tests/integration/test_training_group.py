"""A group of node processes replaces whoever is lost, and its result does not change by a bit."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import psutil
import pytest

from services.training.adapters.group import NodeGroup, Nodes, SharedServers
from services.training.adapters.placed import read_result
from services.training.engine.ps.orders import order_builder
from services.training.engine.ps.recipes import RECIPES
from shared.errors import UnavailableError
from tests.support.reference_training import reference

ORDER = {
    "recipe": "dense",
    "arguments": {"widths": [20, 64, 64, 5], "rows": 320},
    "fit": {
        "batch_size": 32,
        "micro_batches": 2,
        "epochs": 40,
        "optimizer": {"kind": "adamw", "clip_norm": None},
    },
    "sharing": {"owners": 2},
    "seed": 4,
}


def nodes_with(role):
    found = psutil.Process().children(recursive=True)
    return [process for process in found if role in process.cmdline()]


class Killer:
    """Kills a node when training has come so far."""

    def __init__(self, *plan, act=psutil.Process.kill):
        self.plan, self.settled, self.act = list(plan), 0, act

    def __call__(self, message):
        self.settled = message.get("settled", self.settled)
        if self.plan and self.settled >= self.plan[0][0]:
            _, role, number = self.plan.pop(0)
            self.act(nodes_with(role)[number])


@pytest.mark.slow
def test_whoever_is_killed_the_result_is_that_of_one_device(tmp_path):
    group = NodeGroup(tmp_path, Nodes(workers=2, servers=2), save_seconds=0.3)
    killer = Killer((60, "both", 0), (180, "coordinator", 0), (240, "both", 1))
    group.run(ORDER, killer)
    assert killer.plan == []
    state, _ = reference(order_builder(RECIPES)(ORDER))
    result = read_result(group.result_path)
    for name, values in state.weights.items():
        np.testing.assert_array_equal(np.asarray(result.parameters[name]), values)
    assert len(result.history) == 40
    assert nodes_with("--role") == []


@pytest.mark.slow
@pytest.mark.parametrize(("role", "number"), [("coordinator", 0), ("both", 1)])
def test_whoever_is_stopped_is_replaced(tmp_path, role, number):
    group = NodeGroup(tmp_path, Nodes(2, 2), silence_seconds=4.0, save_seconds=0.3)
    killer = Killer((60, role, number), act=psutil.Process.suspend)
    group.run(ORDER, killer)
    assert killer.plan == []
    state, _ = reference(order_builder(RECIPES)(ORDER))
    result = read_result(group.result_path)
    for name, values in state.weights.items():
        np.testing.assert_array_equal(np.asarray(result.parameters[name]), values)


def test_groups_on_the_same_servers_train_at_the_same_time_and_in_turn(tmp_path):
    nodes = Nodes(workers=1, servers=2, groups=2)
    heard = {seed: Killer() for seed in (4, 5, 6)}
    heard[4].plan = [(60, "server", 0), (120, "worker", 0)]

    def carry_out(seed, number):
        group = NodeGroup(tmp_path / str(seed), nodes, servers, number, save_seconds=60.0)
        group.run({**ORDER, "seed": seed}, heard[seed])
        return read_result(group.result_path)

    with closing(SharedServers(tmp_path, nodes.servers)) as servers:
        with ThreadPoolExecutor(2) as pool:
            results = dict(zip((4, 5), pool.map(carry_out, (4, 5), (0, 1)), strict=True))
        assert len(nodes_with("--role")) == 2  # the servers stay
        results[6] = carry_out(6, 0)
    assert heard[4].plan == []
    for seed, result in results.items():
        state, _ = reference(order_builder(RECIPES)({**ORDER, "seed": seed}))
        for name, values in state.weights.items():
            np.testing.assert_array_equal(np.asarray(result.parameters[name]), values)
    assert nodes_with("--role") == []


def test_an_order_that_nodes_refuse_is_told_with_what_they_printed(tmp_path):
    group = NodeGroup(tmp_path, Nodes(workers=1, servers=1), save_seconds=60.0)
    with pytest.raises(UnavailableError, match="the coordinator ended with code 1") as caught:
        group.run({**ORDER, "recipe": "dence"}, print)
    assert "use dense" in caught.value.metadata["log"]


def test_nodes_end_when_the_process_that_started_them_dies(tmp_path):
    code = (
        "import pathlib, json;"
        "from services.training.adapters.group import NodeGroup, Nodes;"
        f"group = NodeGroup(pathlib.Path({str(tmp_path)!r}), Nodes(1, 1), save_seconds=60.0);"
        f"group.run(json.loads({json.dumps(ORDER)!r}), lambda m: print('settled' in m, flush=True))"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with starter:
        assert any(line == "True\n" for line in starter.stdout)
        nodes = psutil.Process(starter.pid).children(recursive=True)
        starter.kill()
        gone, alive = psutil.wait_procs(nodes, timeout=30)
    assert len(gone) == 2
    assert alive == []
