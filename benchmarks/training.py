"""Training steps beside PyTorch and TensorFlow: same network, batch and cores, in turns.

A bar is the peer's median seconds a step divided by ours; of a peer's ways to run, the fastest
counts.
"""

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.machine import ROOT, keep
from benchmarks.peer import environment
from benchmarks.readme import write_section
from benchmarks.training_cases import CASES, Case
from benchmarks.training_rounds import Answer, Contestant, interleave, started

ROUNDS = 7
PEERS = ROOT / "benchmarks" / "peers"
BARS = {
    "lenet_torch_core": ("lenet", "torch", 1.25),
    "lenet_tf_single": ("lenet", "tensorflow", 1.2),
    "resnet50_torch": ("resnet50", "torch", 1.0),
    "mlp_torch": ("mlp", "torch", 1.0),
    "lstm_torch": ("lstm", "torch", None),
    "transformer_torch": ("transformer", "torch", 1.0),
}


def main(names: Sequence[str] = ()) -> None:
    """Measure the bars named, or all of them; print them and keep the raw rounds."""
    bars = {bar: BARS[bar] for bar in names or BARS}
    kept = ROOT / "benchmarks" / "results" / "training.json"
    results = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    cases = dict(results.get("cases", {}))
    for name in dict.fromkeys(case for case, _, _ in bars.values()):
        peers = sorted({peer for case, peer, _ in BARS.values() if case == name})
        against = [way for peer in peers for way in ways(peer, CASES[name])]
        cases[name] = measure(CASES[name], against, ROUNDS)
        for bar, (case, peer, _) in BARS.items():
            if case == name:
                print(f"bar {bar} {ratio(cases[name], peer):.3f}", flush=True)
    keep("training", {"cases": cases})
    if set(cases) == {case for case, _, _ in BARS.values()}:
        write_section("training", table(cases))


def measure(case: Case, against: Sequence[Contestant], rounds: int) -> dict[str, Any]:
    """The case, and of us and everyone else the command and the rounds."""
    with started([ours(), *against], case.as_json()) as running:
        answers = interleave(running, rounds)
        commands = {each.name: each.shell for each in running}
    for name, times in answers.items():
        print(f"{case.name}: {name} {1e3 * seconds(times):.2f} ms a step", flush=True)
    return {"case": case.as_json(), "commands": commands, "rounds": answers}


def ours() -> Contestant:
    """Oriel's side."""
    return Contestant("ours", "", [sys.executable, "-m", "benchmarks.training_ours"])


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


def ratio(measured: Mapping[str, Any], peer: str) -> float:
    """The peer's seconds over ours."""
    return fastest(measured, peer)[1] / fastest(measured, "ours")[1]


def table(cases: Mapping[str, Any]) -> str:
    """The bars as a table, with what each way of a peer took."""
    lines = [
        "| bar | needs | measured | ours, ms a step | peer, ms a step |",
        "|---|---|---|---|---|",
    ]
    for bar, (case, peer, need) in BARS.items():
        measured = cases[case]
        all_ways = ", ".join(
            f"{name.removeprefix(peer).strip()} {1e3 * seconds(answers):.2f}"
            for name, answers in measured["rounds"].items()
            if name.split()[0] == peer
        )
        need_text = f"at least {need}" if need else "no bar"
        mine = 1e3 * fastest(measured, "ours")[1]
        lines.append(
            f"| `{bar}` | {need_text} | {ratio(measured, peer):.2f} | {mine:.2f} | {all_ways} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
