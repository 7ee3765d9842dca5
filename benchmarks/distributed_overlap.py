"""Steps of the 3 million parameter network over a wire of limited rate, ours beside PyTorch DDP."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from benchmarks.distributed_groups import ddp, on_wire, ours
from benchmarks.distributed_rounds import SGD, Entry, in_turns, medians, shown
from benchmarks.network import wire
from services.training.engine.ps.tuning import Tuner

WIDTHS = (784, 1024, 1024, 1024, 10)
BATCH = 1024
ROUNDS = 5
NEEDS = {
    "overlap_10gbit": 1.0,
    "overlap_1gbit": 1.25,
    "overlap_500mbit": 1.25,
    "overlap_200mbit": 1.0,
    "ddp_1gbit": 1.0,
    "ddp_500mbit": 1.0,
}
STEPS = {"10gbit": 12, "1gbit": 10, "500mbit": 8, "200mbit": 6}
KIB = 1024
FIXED = {
    "end": ("end", 256 * KIB),
    "end large": ("end", 4096 * KIB),
    "wfbp": ("wfbp", 256 * KIB),
    "prio": ("prio", 256 * KIB),
}
DDP_WAYS = ("25mb", "1mb", "25mb_bf16", "1mb_bf16")


def measure(rate: str) -> dict[str, Any]:
    """All contestants over one wire of that rate, in turns."""
    steps = STEPS[rate]
    with ExitStack() as stack:
        nodes = on_wire(stack.enter_context(wire(rate)))
        entries = []
        for name, sharing in ways().items():
            case = {"order": order(sharing), "warm": warm_steps(sharing), "steps": steps}
            entries.append(Entry(f"ours {name}", stack.enter_context(ours(nodes, case))))
        case = {"network": "mlp", "batch": BATCH, "steps": steps}
        peer = stack.enter_context(ddp(nodes, case))
        entries += [Entry(f"ddp {way}", peer, {"way": way}) for way in DDP_WAYS]
        answers = in_turns(entries, ROUNDS)
        commands = {each.name: each.running.shell for each in entries}
    shown(rate, answers)
    return {"rate": rate, "batch": BATCH, "steps": steps, "commands": commands, "rounds": answers}


def ways() -> dict[str, dict[str, Any]]:
    """How our nodes share the work, by name."""
    fixed = {
        name: {"schedule": {"kind": kind, "piece_bytes": size}}
        for name, (kind, size) in FIXED.items()
    }
    itself = {"schedule": "auto"}
    return {**fixed, "itself": itself, "itself bf16": {**itself, "wire": "bfloat16"}}


def order(sharing: Mapping[str, Any]) -> dict[str, Any]:
    """The job of two nodes, which both own half of each layer."""
    return {
        "recipe": "dense",
        "arguments": {"widths": WIDTHS, "rows": 8 * BATCH},
        "fit": {"batch_size": BATCH, "micro_batches": 2, "epochs": 10_000, "optimizer": SGD},
        "sharing": {"owners": 2, "has_seconds": False, **sharing},
    }


def warm_steps(sharing: Mapping[str, Any]) -> int:
    """Steps until programs are compiled and, where it is to be found, the schedule is."""
    return Tuner(0).end if sharing["schedule"] == "auto" else 5


def bars(measured: Mapping[str, Any]) -> dict[str, float]:
    """Our own `end` and DDP's better bucket, each over ours as chosen by itself."""
    found = medians(measured["rounds"])
    itself, rate = found["ours itself"], measured["rate"]
    end = min(found["ours end"], found["ours end large"])
    return {
        f"overlap_{rate}": end / itself,
        f"ddp_{rate}": min(found["ddp 25mb"], found["ddp 1mb"]) / itself,
        f"ddp_bf16_{rate}": min(found["ddp 25mb_bf16"], found["ddp 1mb_bf16"])
        / found["ours itself bf16"],
    }
