"""Steps of LeNet-5 on two nodes of this machine, ours beside PyTorch and TensorFlow."""

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

ROUNDS = 7
BATCHES = {"lenet": 1024, "lenet_small": 256}
STEPS = {"lenet": 20, "lenet_small": 40}
NEEDS = {"lenet_tf_mwms": 1.1, "lenet_tf_ps": 2.0, "lenet_ddp": 1.5}
_PEERS = {"lenet_tf_mwms": "mwms", "lenet_tf_ps": "tf_ps", "lenet_ddp": "ddp"}


def measure(part: str) -> dict[str, Any]:
    """All contestants with a core each for two nodes, in turns."""
    batch, steps = BATCHES[part], STEPS[part]
    case = {"network": "lenet", "batch": batch, "steps": steps}
    nodes = on_loopback(2)
    with ExitStack() as stack:
        start = stack.enter_context
        own = {"order": order(batch), "warm": Tuner(0).end, "steps": steps}
        entries = [Entry("ours ps", start(ours(nodes, own)))]
        peer = start(ddp(nodes, case))
        entries += [Entry(f"ddp {way}", peer, {"way": way}) for way in ("25mb", "1mb")]
        for way in ("graph", "loop"):
            running = start(multi_worker_mirrored(nodes, {**case, "way": way}))
            entries.append(Entry(f"mwms {way}", running))
        for way in ("step", "ten"):
            running = start(parameter_servers(nodes, {**case, "way": way}))
            entries.append(Entry(f"tf_ps {way}", running))
        answers = in_turns(entries, ROUNDS)
        commands = {each.name: each.running.shell for each in entries}
    shown(part, answers)
    return {"batch": batch, "steps": steps, "commands": commands, "rounds": answers}


def order(batch: int) -> dict[str, Any]:
    """The job of two nodes."""
    return {
        "recipe": "registered_model",
        "arguments": {
            "model": {"type": "lenet5"},
            "shape": [28, 28, 1],
            "classes": 10,
            "rows": 8 * batch,
            "field": "images",
        },
        "fit": {"batch_size": batch, "micro_batches": 2, "epochs": 10_000, "optimizer": SGD},
        "sharing": {"owners": 2, "has_seconds": False, "schedule": "auto"},
    }


def bars(part: str, measured: Mapping[str, Any]) -> dict[str, float]:
    """Each peer's faster way over ours."""
    found = medians(measured["rounds"])
    suffix = part.removeprefix("lenet")
    return {
        f"{bar}{suffix}": fastest(found, peer) / found["ours ps"] for bar, peer in _PEERS.items()
    }
