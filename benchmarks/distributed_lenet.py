"""Steps of LeNet-5 on two nodes of this machine, ours beside PyTorch and TensorFlow.

Ours is measured as shipped, with compiled kernels, and in plain JAX.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from benchmarks.distributed_groups import (
    ddp,
    multi_worker_mirrored,
    on_loopback,
    ours,
    parameter_servers,
)
from benchmarks.distributed_rounds import SGD, Entry, fastest, in_turns, medians, shown
from services.training.engine.ps.tuning import Tuner
from services.training.kernels.library import SWITCH

ROUNDS = 5
BATCHES = {"lenet": 1024, "lenet_small": 256}
STEPS = {"lenet": 20, "lenet_small": 40}
NEEDS = {
    "lenet_tf_mwms": 1.5,
    "lenet_tf_ps": 2.3,
    "lenet_ddp": 2.0,
    "lenet_tf_mwms_plain": 1.1,
    "lenet_tf_ps_plain": 2.0,
    "lenet_ddp_plain": 1.5,
}
MNIST = {"shape": [28, 28, 1], "classes": 10}
_PEERS = {"lenet_tf_mwms": "mwms", "lenet_tf_ps": "tf_ps", "lenet_ddp": "ddp"}


def measure(part: str) -> dict[str, Any]:
    """The part's batch over images like MNIST's."""
    case = {"network": "lenet", **MNIST, "batch": BATCHES[part], "steps": STEPS[part]}
    return steps(part, case, ROUNDS)


def steps(title: str, case: Mapping[str, Any], rounds: int) -> dict[str, Any]:
    """All contestants with a core each for two nodes, in turns."""
    nodes = on_loopback(2)
    with ExitStack() as stack:
        start = stack.enter_context
        own = {"order": order(case), "warm": Tuner(0).end}
        plain = {**own, "environment": {SWITCH: "off"}}
        entries = [
            Entry("ours ps", start(ours(nodes, own))),
            Entry("ours plain", start(ours(nodes, plain))),
        ]
        peer = start(ddp(nodes, case))
        entries += [Entry(f"ddp {way}", peer, {"way": way}) for way in ("25mb", "1mb")]
        for way in ("graph", "loop"):
            running = start(multi_worker_mirrored(nodes, {**case, "way": way}))
            entries.append(Entry(f"mwms {way}", running))
        for way in ("step", "ten"):
            running = start(parameter_servers(nodes, {**case, "way": way}))
            entries.append(Entry(f"tf_ps {way}", running))
        answers = in_turns(entries, rounds, case["steps"])
        commands = {each.name: each.running.shell for each in entries}
    shown(title, answers)
    return {**case, "commands": commands, "rounds": answers}


def order(case: Mapping[str, Any]) -> dict[str, Any]:
    """The job of two nodes."""
    batch = case["batch"]
    return {
        "recipe": "registered_model",
        "arguments": {
            "model": {"type": "lenet5"},
            "shape": case["shape"],
            "classes": case["classes"],
            "rows": 8 * batch,
            "field": "images",
        },
        "fit": {"batch_size": batch, "micro_batches": 2, "epochs": 10_000, "optimizer": SGD},
        "sharing": {"owners": 2, "has_seconds": False, "schedule": "auto"},
    }


def bars(part: str, measured: Mapping[str, Any]) -> dict[str, float]:
    """Each peer's faster way over ours as shipped, and in plain JAX."""
    found = medians(measured["rounds"])
    size = part.removeprefix("lenet")
    return {
        f"{bar}{size}{end}": fastest(found, peer) / found[f"ours {way}"]
        for end, way in {"": "ps", "_plain": "plain"}.items()
        for bar, peer in _PEERS.items()
    }
