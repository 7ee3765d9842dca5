"""What is drawn of several nodes, from made-up measurements."""

import pytest

from benchmarks.distributed_figures import accelerations, check, figures, simulated, table
from benchmarks.distributed_simulation import Network

STAGE = {"parameter_bytes": 4000, "forward_seconds": 0.004, "backward_seconds": 0.006}
CALIBRATION = {
    "stages": [STAGE, STAGE],
    "update_seconds_a_byte": 0.0,
    "message_seconds": 0.0,
    "byte_seconds": 0.0,
}
NODES = {
    "rounds": {
        "1 nodes": [{"step_seconds": [0.025]}, {"step_seconds": [0.025, 0.025]}],
        "2 nodes": [{"step_seconds": [0.030]}],
    },
    "calibration": CALIBRATION,
}


def test_what_one_node_takes_beyond_its_stages_is_in_every_simulated_step():
    assert simulated(NODES, 1, Network(1e12)) == pytest.approx(0.025)
    assert simulated(NODES, 4, Network(1e12)) == pytest.approx(0.025)
    assert check(NODES) == pytest.approx(0.025 / 0.030)


def test_nodes_are_as_uneven_as_one_was_when_it_was_measured():
    rounds = {**NODES["rounds"], "1 nodes": [{"step_seconds": [0.02, 0.02, 0.02, 0.06, 0.06]}]}
    uneven = {**NODES, "rounds": rounds}
    # One of four is undisturbed more often than not; that none of them is, is rare.
    assert simulated(uneven, 1, Network(1e12)) == pytest.approx(0.02)
    assert simulated(uneven, 4, Network(1e12)) == pytest.approx(0.06)


def test_acceleration_counts_rows_of_all_nodes():
    points = {(how, nodes): ratio for how, nodes, ratio in accelerations(NODES)}
    assert points["measured", 1] == 1.0
    assert points["measured", 2] == pytest.approx(2 * 25 / 30)
    assert 7.5 < points["simulated, 1 Gbit/s", 8] < 8.0


def test_figures_hold_the_papers_points_and_whole_epochs_beside_steady_ones():
    steps = {
        "batch": 100,
        "rounds": {
            name: [{"seconds": 0.01}]
            for name in ("ours ps", "ours plain", "ddp 1mb", "mwms loop", "tf_ps ten")
        },
    }
    found = {"whole": {"10000": {"seconds": 2.5}}, "nodes": {"LeNet-5": NODES}}
    drawn = figures({"lenet_small": steps, "figures": found})
    lines, dots = (layer["data"]["values"] for layer in drawn["distributed_figure4"]["layer"])
    assert {"system": "Oriel, 2 nodes", "images": 10_000, "seconds": 1.0} in lines
    assert {"system": "the paper, DCNNPS", "images": 60_000, "seconds": 18.525} in dots
    assert any(dot["images"] == 10_000 and dot["seconds"] == 2.5 for dot in dots)
    assert "LeNet-5: 0.83." in "\n".join(table(found))
