"""Training steps beside PyTorch and TensorFlow: same network, batch and cores, in turns.

A bar is the peer's median seconds a step divided by ours; of a peer's ways to run, the fastest
counts.
"""

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.machine import ROOT, keep
from benchmarks.peer import environment
from benchmarks.readme import write_section
from benchmarks.training_cases import CASES, Case
from benchmarks.training_rounds import Answer, Contestant, interleave, started

ROUNDS = 7
PEERS = ROOT / "benchmarks" / "peers"


@dataclass(frozen=True)
class Bar:
    """A ratio that is printed.

    Args:
        peer: Whose fastest way is divided by ours.
        need: Least ratio; None where the ratio is only reported.
        ours: Which of our ways counts: as shipped, or "jax", without compiled kernels.
    """

    case: str
    peer: str
    need: float | None
    ours: str = ""


BARS = {
    "lenet_torch_core": Bar("lenet", "torch", 1.25, "jax"),
    "lenet_torch_core_kernel": Bar("lenet", "torch", None),
    "lenet_tf_single": Bar("lenet", "tensorflow", 1.2),
    "lenet_tf_single_jax": Bar("lenet", "tensorflow", None, "jax"),
    "resnet50_torch": Bar("resnet50", "torch", 1.0),
    "mlp_torch": Bar("mlp", "torch", 1.0),
    "lstm_torch": Bar("lstm", "torch", None),
    "transformer_torch": Bar("transformer", "torch", 1.0),
}


def main(names: Sequence[str] = ()) -> None:
    """Measure the bars named, or all of them; print them and keep the raw rounds."""
    bars = {bar: BARS[bar] for bar in names or BARS}
    kept = ROOT / "benchmarks" / "results" / "training.json"
    results = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    cases = dict(results.get("cases", {}))
    for name in dict.fromkeys(bar.case for bar in bars.values()):
        here = {key: bar for key, bar in BARS.items() if bar.case == name}
        peers = sorted({bar.peer for bar in here.values()})
        against = [way for peer in peers for way in ways(peer, CASES[name])]
        mine = [ours(way) for way in sorted({bar.ours for bar in here.values()})]
        cases[name] = measure(CASES[name], [*mine, *against], ROUNDS)
        for key, bar in here.items():
            print(f"bar {key} {ratio(cases[name], bar):.3f}", flush=True)
    keep("training", {"cases": cases})
    if set(cases) == {bar.case for bar in BARS.values()}:
        write_section("training", table(cases))


def measure(case: Case, contestants: Sequence[Contestant], rounds: int) -> dict[str, Any]:
    """The case, and of each contestant the command and the rounds."""
    with started(contestants, case.as_json()) as running:
        answers = interleave(running, rounds)
        commands = {each.name: each.shell for each in running}
    for name, times in answers.items():
        print(f"{case.name}: {name} {1e3 * seconds(times):.2f} ms a step", flush=True)
    return {"case": case.as_json(), "commands": commands, "rounds": answers}


def ours(way: str = "") -> Contestant:
    """Oriel's side: as shipped, or in plain JAX."""
    switch = ["env", "ORIEL_KERNELS=off"] if way == "jax" else []
    return Contestant("ours", way, [*switch, sys.executable, "-m", "benchmarks.training_ours"])


def ways(peer: str, case: Case) -> list[Contestant]:
    """A peer in each way it may be fast for the case."""
    command = [str(environment(peer)), str(PEERS / peer / "steps.py")]
    if peer == "tensorflow":
        # XLA's convolutions on CPU take twice the time here, and minutes to compile 50 layers.
        graphs = ("graph", "loop") if case.name.startswith("resnet50") else ("graph", "loop", "xla")
        return [Contestant(peer, way, [*command, way]) for way in graphs]
    layouts = ["eager", "channels_last"] if len(case.shape) == 3 else ["eager"]
    return [
        *(Contestant(peer, way, [*command, way]) for way in layouts),
        Contestant(peer, "compiled", [*command, "compiled"], is_needed=False),
    ]


def seconds(answers: Sequence[Answer]) -> float:
    """Median seconds a step."""
    return float(statistics.median(answer["seconds"] for answer in answers))


def fastest(measured: Mapping[str, Any], peer: str) -> tuple[str, float]:
    """Name and seconds of the peer's fastest way."""
    found = {name: seconds(each) for name, each in measured["rounds"].items()}
    best = min((name for name in found if name.split()[0] == peer), key=lambda name: found[name])
    return best, found[best]


def our_seconds(measured: Mapping[str, Any], bar: Bar) -> float:
    """Median seconds a step of ours, in the way that the bar is about."""
    return seconds(measured["rounds"][f"ours {bar.ours}".strip()])


def ratio(measured: Mapping[str, Any], bar: Bar) -> float:
    """The peer's seconds over ours."""
    return fastest(measured, bar.peer)[1] / our_seconds(measured, bar)


def table(cases: Mapping[str, Any]) -> str:
    """The bars as a table, with what each way of a peer took."""
    lines = [
        "| bar | needs | measured | ours, ms a step | peer, ms a step |",
        "|---|---|---|---|---|",
    ]
    for key, bar in BARS.items():
        measured = cases[bar.case]
        all_ways = ", ".join(
            f"{name.removeprefix(bar.peer).strip()} {1e3 * seconds(answers):.2f}"
            for name, answers in measured["rounds"].items()
            if name.split()[0] == bar.peer
        )
        need = f"at least {bar.need}" if bar.need else "no bar"
        mine = 1e3 * our_seconds(measured, bar)
        lines.append(f"| `{key}` | {need} | {ratio(measured, bar):.2f} | {mine:.2f} | {all_ways} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
