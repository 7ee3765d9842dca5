"""Steps of the 3 million parameter network over a wire of limited rate, ours beside PyTorch DDP."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks.distributed_groups import ddp, on_wire, ours
from benchmarks.distributed_rounds import SGD, Entry, in_turns, medians, shown
from benchmarks.network import wire
from services.training.engine.ps.tuning import Tuner

WIDTHS = (784, 1024, 1024, 1024, 10)
BATCH = 1024
ROUNDS = {"10gbit": 21, "1gbit": 7, "500mbit": 7, "200mbit": 7}
"""More where the ways differ by less than what disturbs a round."""

NEEDS = {
    "overlap_10gbit": 1.0,
    "overlap_1gbit": 1.25,
    "overlap_500mbit": 1.25,
    "overlap_200mbit": 1.0,
    "ddp_1gbit": 1.0,
    "ddp_500mbit": 1.0,
}
STEPS = {"10gbit": 5, "1gbit": 5, "500mbit": 4, "200mbit": 3}
KIB = 1024
PIECE = 1024 * KIB
"""Of the schedules that are ordered: what trying mostly ends with."""

DDP_WAYS = ("25mb", "1mb", "1mb_bf16")


def measure(rates: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All contestants in turns, over one wire that is limited to one rate after the other."""
    with ExitStack() as stack:
        limited = stack.enter_context(wire())
        nodes = on_wire(limited)
        entries = []
        for name, sharing in ordered().items():
            case = {"order": order(sharing), "warm": 5}
            entries.append(Entry(f"ours {name}", stack.enter_context(ours(nodes, case))))
        peer = stack.enter_context(ddp(nodes, {"network": "mlp", "batch": BATCH}))
        entries += [Entry(f"ddp {way}", peer, {"way": way}) for way in DDP_WAYS]
        for rate in rates:
            limited.limit(rate)
            steps = STEPS[rate]
            tried = {"order": order({"schedule": "auto"}), "warm": Tuner(0).end}
            with ours(nodes, tried) as itself:
                everyone = [Entry("ours itself", itself), *entries]
                answers = in_turns(everyone, ROUNDS[rate], steps=steps)
                commands = {each.name: each.running.shell for each in everyone}
            shown(rate, answers)
            yield rate, {"batch": BATCH, "steps": steps, "commands": commands, "rounds": answers}


def ordered() -> dict[str, dict[str, Any]]:
    """Ways of our nodes to share the work in which the schedule is ordered, by name."""
    kinds = ("end", "wfbp", "prio")
    ways: dict[str, dict[str, Any]] = {
        kind: {"schedule": {"kind": kind, "piece_bytes": PIECE}} for kind in kinds
    }
    return {**ways, "bf16": {**ways["prio"], "wire": "bfloat16"}}


def order(sharing: Mapping[str, Any]) -> dict[str, Any]:
    """The job of two nodes, which both own half of each layer."""
    return {
        "recipe": "dense",
        "arguments": {"widths": WIDTHS, "rows": 8 * BATCH},
        "fit": {"batch_size": BATCH, "micro_batches": 2, "epochs": 10_000, "optimizer": SGD},
        "sharing": {"owners": 2, "has_seconds": False, **sharing},
    }


def bars(rate: str, measured: Mapping[str, Any]) -> dict[str, float]:
    """Our own `end` and DDP's better bucket over ours as chosen by itself; both in bfloat16."""
    found = medians(measured["rounds"])
    itself = found["ours itself"]
    exact = {
        f"overlap_{rate}": found["ours end"] / itself,
        f"ddp_{rate}": min(found["ddp 25mb"], found["ddp 1mb"]) / itself,
    }
    if "ours bf16" not in found:  # left out where time is short
        return exact
    return {**exact, f"ddp_bf16_{rate}": found["ddp 1mb_bf16"] / found["ours bf16"]}
