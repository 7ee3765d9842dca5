"""How rounds on several nodes are held apart, and what is made of their times."""

import threading

import pytest

from benchmarks import distributed, distributed_lenet, distributed_overlap
from benchmarks.distributed_ours import LEAD_STEPS, Gate
from benchmarks.distributed_rounds import fastest, medians
from services.training.engine.ps.orders import order_builder
from services.training.engine.ps.recipes import RECIPES


def rounds(**seconds):
    return {
        name.replace("__", " "): [{"seconds": s} for s in given] for name, given in seconds.items()
    }


def test_a_gate_lets_exactly_the_steps_of_a_round_through():
    gate, seen = Gate(), []

    def settle() -> None:
        for step in range(1, 100):
            seen.append(step)
            gate.settled(step)

    threading.Thread(target=settle, daemon=True).start()
    gate.steps(1)  # it may begin before the first step or at it
    before = len(seen)
    seconds = gate.steps(2)
    assert len(seconds) == 2
    assert min(seconds) >= 0
    assert len(seen) == before + LEAD_STEPS + 2


def test_the_median_of_rounds_counts_and_of_a_peer_the_fastest_way():
    found = medians(rounds(ddp__25mb=[3.0, 1.0, 2.0], ddp__1mb=[4.0, 4.0, 1.0], ours__ps=[1.0]))
    assert found == {"ddp 25mb": 2.0, "ddp 1mb": 4.0, "ours ps": 1.0}
    assert fastest(found, "ddp") == 2.0


def test_overlap_is_judged_by_our_own_end_and_ddp_by_its_better_bucket():
    taken = rounds(
        ours__end=[5.0],
        ours__itself=[4.0],
        ours__bf16=[2.0],
        ddp__25mb=[6.0],
        ddp__1mb=[5.0],
        ddp__1mb_bf16=[3.0],
    )
    part = {"commit": "abc", "rounds": taken}
    assert distributed_overlap.bars("1gbit", part) == {
        "overlap_1gbit": 1.25,
        "ddp_1gbit": 1.25,
        "ddp_bf16_1gbit": 1.5,
    }
    written = distributed.table({"overlap_1gbit": part})
    assert "| `overlap_1gbit` | at least 1.25 | 1.25 |" in written
    assert "| `ddp_bf16_1gbit` | no bar | 1.50 |" in written


def test_lenet_is_judged_against_each_peers_faster_way():
    taken = rounds(
        ours__ps=[2.0],
        ours__plain=[3.0],
        ddp__25mb=[4.0],
        ddp__1mb=[5.0],
        mwms__loop=[3.0],
        tf_ps__ten=[6.0],
    )
    assert distributed_lenet.bars("lenet_small", {"rounds": taken}) == {
        "lenet_tf_mwms_small": 1.5,
        "lenet_tf_ps_small": 3.0,
        "lenet_ddp_small": 2.0,
        "lenet_tf_mwms_small_plain": 1.0,
        "lenet_tf_ps_small_plain": 2.0,
        "lenet_ddp_small_plain": pytest.approx(4 / 3),
    }


@pytest.mark.parametrize("sharing", distributed_overlap.ordered().values())
def test_our_orders_can_be_built_and_every_node_owns_half(sharing):
    order = {**distributed_overlap.order(sharing)}
    order["arguments"] = {"widths": (32, 64, 10), "rows": 8}
    order["fit"] = {**order["fit"], "batch_size": 8}
    job = order_builder(RECIPES)(order)
    sizes = [sum(s.size for s in job.segments if s.owner == owner) for owner in (0, 1)]
    assert abs(sizes[0] - sizes[1]) <= 64
