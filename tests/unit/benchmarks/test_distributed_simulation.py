"""The simulated cluster against what can be worked out by hand."""

import pytest

from benchmarks.distributed_simulation import LayerCost, Network, NodeCost, step_seconds

LAYERS = [LayerCost(1_000_000, 0.010, 0.020), LayerCost(1_000_000, 0.010, 0.020)]
FREE = NodeCost(0.0, 0.0, 0.0)
FAST = Network(1e15)


@pytest.mark.parametrize("schedule", ["end", "wfbp", "prio"])
@pytest.mark.parametrize("node_count", [1, 2, 5])
def test_without_cost_of_communication_a_step_is_its_computation(schedule, node_count):
    seconds = step_seconds(LAYERS, node_count, FREE, FAST, schedule=schedule)
    assert seconds == pytest.approx(0.060, rel=1e-6)


@pytest.mark.parametrize("schedule", ["end", "wfbp", "prio"])
def test_one_node_pays_no_wire_but_its_own_update(schedule):
    cost = NodeCost(1.0, 1.0, 1e-9, step_seconds=0.005)
    seconds = step_seconds(LAYERS, 1, cost, Network(1.0), schedule=schedule)
    assert seconds == pytest.approx(0.060 + 0.005 + 2_000_000 * 1e-9)


def test_at_the_end_of_a_step_everything_waits_for_the_whole_exchange():
    # Each of 2 nodes sends half of 2 MB out, and the new values of its own half back.
    seconds = step_seconds(
        LAYERS, 2, FREE, Network(20e6), schedule="end", chunk_bytes=10_000, steps=4
    )
    # Chunks of new values leave while gradients still arrive, so both share the link: 2 MB out.
    assert seconds == pytest.approx(0.060 + 2_000_000 / 20e6, rel=0.02)


def test_pushing_during_the_backward_pass_hides_what_fits_behind_it():
    hidden = step_seconds(LAYERS, 2, FREE, Network(200e6), schedule="wfbp", chunk_bytes=50_000)
    waited = step_seconds(LAYERS, 2, FREE, Network(200e6), schedule="end", chunk_bytes=50_000)
    assert waited == pytest.approx(0.060 + 0.010, rel=0.06)
    # The last layer's megabyte leaves behind the first layer's backward; the first's cannot.
    assert hidden == pytest.approx(0.060 + 0.005, rel=0.06)


def test_a_full_link_bounds_every_schedule():
    for schedule in ("end", "wfbp", "prio"):
        seconds = step_seconds(LAYERS, 3, FREE, Network(10e6), schedule=schedule, steps=12)
        # Two thirds of the gradients and as much of new values pass each link.
        assert seconds >= 2 * 2_000_000 * 2 / 3 / 10e6 * 0.9


def test_handling_bytes_costs_time_of_the_core():
    cost = NodeCost(1e-9, 2e-9, 4e-9)
    seconds = step_seconds(LAYERS, 2, cost, FAST, schedule="end")
    # A node sends and receives a megabyte of gradients and of values, and updates its megabyte.
    assert seconds == pytest.approx(0.060 + 2e6 * 1e-9 + 2e6 * 2e-9 + 1e6 * 4e-9, rel=0.02)


def test_low_layers_first_lets_the_next_forward_pass_begin_sooner():
    layers = [LayerCost(2_000_000, 0.02, 0.02)] * 4
    # The link is behind when the backward pass ends, so what goes first matters.
    network = Network(60e6)
    plain = step_seconds(layers, 2, FREE, network, schedule="wfbp", chunk_bytes=100_000)
    first = step_seconds(layers, 2, FREE, network, schedule="prio", chunk_bytes=100_000)
    assert first < plain


def test_together_nodes_are_as_slow_as_whichever_is_disturbed():
    # Of two nodes at least one draws the slow pace in three steps of four, of six nearly always.
    for node_count in (2, 6):
        seconds = step_seconds(
            LAYERS, node_count, FREE, FAST, schedule="end", paces=(1.0, 2.0), steps=200
        )
        assert seconds == pytest.approx(0.120, rel=1e-6)
