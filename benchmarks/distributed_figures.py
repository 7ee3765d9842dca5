"""The paper's Figures 4 and 5: time against images, and acceleration against nodes.

Of more than two nodes the acceleration is simulated, from what one node's work takes.
"""

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import vl_convert

from benchmarks import distributed_lenet as lenet
from benchmarks import distributed_overlap as overlap
from benchmarks import distributed_table2 as table2
from benchmarks.distributed_groups import on_loopback, ours
from benchmarks.distributed_rounds import Entry, in_turns, medians
from benchmarks.distributed_simulation import LayerCost, Network, NodeCost, step_seconds
from benchmarks.images import image_set
from benchmarks.machine import ROOT
from benchmarks.training_rounds import Answer

FOLDER = ROOT / "benchmarks" / "results"
COUNTS = (10_000, 60_000, 150_000, 240_000, 480_000)
WHOLE = COUNTS
"""Of these one epoch is trained in whole."""

NODES = (1, 2, 3, 4, 6, 8)
ROWS = {"LeNet-5": 128, "3 M network": 512}
GIGABIT = Network(125e6 * 0.95)
ROUNDS = 5
STEPS = 200
"""Of a simulation whose nodes are as uneven as the measured one."""

PAPER = {"DCNNPS": 18.525, "distributed TensorFlow": 42.011, "single TensorFlow": 57.329}
"""Seconds of LeNet-5 on MNIST in its Table 2; Figure 4 is drawn without numbers."""


def measure() -> dict[str, Any]:
    """Whole epochs by number of images, and one node's work with the steps of one and two."""
    mnist = image_set("mnist")
    whole = {str(count): table2.fit(mnist, count, 1) for count in WHOLE}
    return {"whole": whole, "nodes": {name: measured(name) for name in ROWS}}


def measured(name: str) -> dict[str, Any]:
    """Of a network: what it is made of, and seconds of a step by number of nodes."""
    with ExitStack() as stack:
        entries = []
        for count in (1, 2):
            case = {"order": order(name, count), "warm": 20}
            running = stack.enter_context(ours(on_loopback(count), case))
            entries.append(Entry(f"{count} nodes", running))
        rounds = in_turns(entries, ROUNDS, steps=10)
    command = [sys.executable, "-m", "benchmarks.distributed_calibration"]
    given = json.dumps({"order": order(name, 1)})
    said = subprocess.run(
        ["taskset", "-c", "0", *command, given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    calibration = json.loads(said.stdout.partition("answer")[2])
    found = {"rounds": rounds, "calibration": calibration}
    two, expected = usual_steps(rounds)["2 nodes"], simulated(found, 2, Network(1e12))
    print(f"{name}: 2 nodes take {two:.4f} s, simulated {expected:.4f} s", flush=True)
    return found


def order(name: str, nodes: int) -> dict[str, Any]:
    """The job of so many nodes with the same rows each."""
    batch = ROWS[name] * nodes
    made = lenet.order({**lenet.MNIST, "batch": batch}) if name == "LeNet-5" else overlap.order({})
    sharing = {"owners": nodes, "has_seconds": False}
    fit = {**made["fit"], "batch_size": batch, "micro_batches": nodes}
    return {**made, "fit": fit, "sharing": sharing}


def usual_steps(rounds: Mapping[str, Sequence[Answer]]) -> dict[str, float]:
    """Median seconds of a step over all rounds; the calibration has medians of single calls."""
    return {
        name: statistics.median(step for answer in answers for step in answer["step_seconds"])
        for name, answers in rounds.items()
    }


def simulated(found: Mapping[str, Any], nodes: int, network: Network) -> float:
    """Seconds of a step of so many nodes over links of that kind.

    What one node's step takes beyond its stages and its update is added to every step, and each
    step of each node is as much slower or faster than usual as one of the measured steps of one.
    """
    made = found["calibration"]
    layers = [LayerCost(**stage) for stage in made["stages"]]
    half = max(made["byte_seconds"], 0.0) / 2
    cost = NodeCost(half, half, made["update_seconds_a_byte"])
    alone = step_seconds(layers, 1, cost, network)
    usual = usual_steps(found["rounds"])["1 nodes"]
    rest = max(usual - alone, 0.0)
    measured = [step for answer in found["rounds"]["1 nodes"] for step in answer["step_seconds"]]
    paces = [seconds / usual for seconds in measured]
    whole = NodeCost(half, half, made["update_seconds_a_byte"], rest)
    link = Network(network.bytes_a_second, made["message_seconds"])
    return step_seconds(layers, nodes, whole, link, paces=paces, steps=STEPS)


def check(found: Mapping[str, Any]) -> float:
    """The simulated step of two nodes over the measured one, without a limit to the network."""
    return simulated(found, 2, Network(1e12)) / usual_steps(found["rounds"])["2 nodes"]


def accelerations(found: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    """(how it was found, nodes, rows a second over those of one node)."""
    steps = usual_steps(found["rounds"])
    one = steps["1 nodes"]
    points = [("measured", count, count * one / steps[f"{count} nodes"]) for count in (1, 2)]
    for count in NODES:
        ratio = count * one / simulated(found, count, GIGABIT)
        points.append(("simulated, 1 Gbit/s", count, ratio))
    return points


def figures(parts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The drawings by file name, as Vega-Lite."""
    return {
        "distributed_figure4": _figure4(parts["lenet_small"], parts["figures"]),
        "distributed_figure5": _figure5(parts["figures"]),
    }


def _figure4(steps: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "ours ps": "Oriel, 2 nodes",
        "ddp": "PyTorch DDP, 2 nodes",
        "mwms": "TensorFlow MultiWorkerMirrored, 2 nodes",
        "tf_ps": "TensorFlow ParameterServerStrategy, 2 nodes",
    }
    times = medians(steps["rounds"])
    points = []
    for peer, system in names.items():
        own = [seconds for name, seconds in times.items() if name.startswith(peer)]
        for count in COUNTS:
            seconds = math.ceil(count / steps["batch"]) * min(own)
            points.append({"system": system, "images": count, "seconds": seconds})
    compiled = "Oriel, whole epoch with compiling"
    whole = [
        {"system": compiled, "images": int(count), "seconds": each["seconds"]}
        for count, each in found["whole"].items()
    ]
    paper = [
        {"system": f"the paper, {name}", "images": 60_000, "seconds": seconds}
        for name, seconds in PAPER.items()
    ]
    text = "LeNet-5, seconds of an epoch from steady steps (paper: of an unknown number of epochs)"
    return _chart(text, ("images", "images"), ("seconds", "seconds"), points, [*whole, *paper])


def _figure5(found: Mapping[str, Any]) -> dict[str, Any]:
    points: list[dict[str, Any]] = []
    dots: list[dict[str, Any]] = []
    for network, each in found["nodes"].items():
        for how, nodes, ratio in accelerations(each):
            row = {"system": f"{network}, {how}", "nodes": nodes, "ratio": ratio}
            (dots if how == "measured" else points).append(row)
    text = "Acceleration against nodes: dots measured, lines simulated"
    up = ("ratio", "rows a second over one node's")
    return _chart(text, ("nodes", "nodes"), up, points, dots)


def _chart(
    title: str,
    x: tuple[str, str],
    y: tuple[str, str],
    lines: Sequence[Mapping[str, Any]],
    dots: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Lines with points, and single dots, coloured by system."""
    coding = {
        "x": {"field": x[0], "type": "quantitative", "title": x[1]},
        "y": {"field": y[0], "type": "quantitative", "title": y[1]},
        "color": {"field": "system", "title": None, "legend": {"labelLimit": 400}},
    }
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": title,
        "width": 480,
        "height": 320,
        "encoding": coding,
        "layer": [
            {"data": {"values": list(lines)}, "mark": {"type": "line", "point": True}},
            {"data": {"values": list(dots)}, "mark": {"type": "point", "size": 90}},
        ],
    }


def draw(parts: Mapping[str, Any]) -> None:
    """Write every figure as its spec and as an image."""
    for name, spec in figures(parts).items():
        (FOLDER / f"{name}.json").write_text(json.dumps(spec, indent=1) + "\n", encoding="utf-8")
        image = vl_convert.vegalite_to_svg(spec, vl_version="6.4")
        (FOLDER / f"{name}.svg").write_text(image, encoding="utf-8")


def table(found: Mapping[str, Any]) -> list[str]:
    """Accelerations, and how far the simulation is from two measured nodes."""
    lines = ["| acceleration | " + " | ".join(f"{count} nodes" for count in NODES) + " |"]
    lines.append("|---" * (1 + len(NODES)) + "|")
    for network, each in found["nodes"].items():
        ratios = {(how, nodes): ratio for how, nodes, ratio in accelerations(each)}
        for how in dict.fromkeys(how for how, _ in ratios):
            cells = [f"{ratios[how, n]:.2f}" if (how, n) in ratios else "" for n in NODES]
            lines.append(f"| {network}, {how} | {' | '.join(cells)} |")
    for network, each in found["nodes"].items():
        lines.append(f"\nSimulated over measured step of two nodes, {network}: {check(each):.2f}.")
    return lines
