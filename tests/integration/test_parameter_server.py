"""Nodes as processes of their own, killed and stopped, end with the bits of one device."""

import signal

import numpy as np
import pytest

from services.training.engine.ps.orders import order_builder
from services.training.engine.ps.recipes import RECIPES
from tests.support.node_processes import Training
from tests.support.reference_training import reference

pytestmark = pytest.mark.slow

ORDER = {
    "recipe": "dense",
    "arguments": {"widths": [20, 64, 64, 5], "rows": 320},
    "fit": {
        "batch_size": 32,
        "micro_batches": 2,
        "epochs": 60,
        "optimizer": {"kind": "adamw", "clip_norm": None},
    },
    "sharing": {"owners": 2, "schedule": {"kind": "prio", "piece_bytes": 4096}},
    "seed": 4,
}


@pytest.fixture(scope="module")
def expected():
    return reference(order_builder(RECIPES)(ORDER))


@pytest.fixture
def training(tmp_path):
    started = []

    def start(roles, workers, servers, *options):
        started.append(Training(ORDER, tmp_path, workers, servers, *options))
        for role in roles:
            started[0].start_node(role)
        return started[0]

    yield start
    started[0].close()


def assert_same_bits(training, expected):
    state, losses = expected
    weights, said = training.result()
    assert said == losses[len(losses) - len(said) :]
    for name, values in state.weights.items():
        np.testing.assert_array_equal(weights[name], values)


def test_two_nodes_that_are_both_worker_and_server_end_by_themselves(training, expected):
    group = training(["both", "both"], 2, 2)
    assert_same_bits(group, expected)
    assert [node.wait(60) for node in group.nodes] == [0, 0]


def test_a_killed_worker_is_replaced(training, expected):
    group = training(["server", "worker", "worker"], 2, 1)
    group.wait_for(40)
    group.nodes[2].kill()
    group.wait_for(60)
    group.start_node("worker")
    assert_same_bits(group, expected)


def test_a_killed_servers_part_lives_on(training, expected):
    group = training(["server", "server", "worker", "worker"], 2, 2)
    group.wait_for(40)
    group.nodes[0].kill()
    assert_same_bits(group, expected)


def test_a_restarted_coordinator_goes_on_from_the_checkpoint(training, expected, tmp_path):
    kept = tmp_path / "kept"
    group = training(["both", "both"], 2, 2, "--checkpoints", kept, "--every", 1)
    group.wait_until(lambda: any(each.name.isdigit() for each in kept.glob("*")))
    group.coordinator.kill()
    group.coordinator.wait()
    group.start_coordinator()
    assert_same_bits(group, expected)


def test_a_stopped_worker_is_done_without(training, expected):
    group = training(["server", "worker", "worker"], 2, 1, "--silence", 4)
    group.wait_for(40)
    group.nodes[2].send_signal(signal.SIGSTOP)
    assert_same_bits(group, expected)


def test_a_stopped_servers_part_lives_on(training, expected):
    group = training(["server", "server", "worker", "worker"], 2, 2, "--silence", 4)
    group.wait_for(40)
    group.nodes[0].send_signal(signal.SIGSTOP)
    assert_same_bits(group, expected)
