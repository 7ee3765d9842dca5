"""The single-device part of the paper's Table 2, beside PyTorch and TensorFlow, on all cores.

LeNet-5 by whole fits from arrays in memory; ResNet-50 by steady steps, from which an epoch is
extrapolated.
"""

import json
import math
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import training
from benchmarks.images import ImageSet, image_set
from benchmarks.machine import ROOT, keep
from benchmarks.peer import environment
from benchmarks.readme import write_section
from benchmarks.training_cases import Case
from benchmarks.training_rounds import Contestant, interleave, started

CORES = os.cpu_count() or 1
ROUNDS = 3
EPOCHS = {"mnist": 6, "cifar10": 3, "flowers": 10}
RATES = {"mnist": 0.05, "cifar10": 0.05, "flowers": 0.02}
WAYS = {"torch": ("eager", "channels_last"), "tensorflow": ("loop", "fit")}
NAMES = {"ours": "Oriel", "torch": "PyTorch", "tensorflow": "TensorFlow"}
PAPER = {
    "LeNet-5, the paper, DCNNPS": ("18.5 s, 0.973", "17.9 s, 0.802", "15.5 s, 0.821"),
    "LeNet-5, the paper, single TensorFlow": ("57.3 s, 0.986", "54.9 s, 0.831", "10.0 s, 0.840"),
    "ResNet-50, the paper, DCNNPS": ("9,038 s, 0.967", "8,837 s, 0.902", "530 s, 0.935"),
}


def main(names: Sequence[str] = ()) -> None:
    """Measure the image sets named, or all three; print the table and keep the raw rounds."""
    kept = ROOT / "benchmarks" / "results" / "table2.json"
    results = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    sets = dict(results.get("sets", {}))
    for name in names or EPOCHS:
        images = image_set(name)
        sets[name] = {
            "train": images.train_count,
            "test": images.test_count,
            "lenet": fits(images),
            "resnet50": steps(images),
        }
        keep("table2", {"sets": sets})
    if set(sets) == set(EPOCHS):
        text = table(sets)
        print(text)
        write_section("table2", text)


def fits(images: ImageSet) -> dict[str, Any]:
    """Whole fits in turns: ours, and of each peer the way whose single epoch was the fastest."""
    case = {
        "name": "lenet",
        "folder": str(images.folder),
        "shape": images.shape,
        "classes": images.classes,
        "cores": CORES,
        "batch": 128,
        "epochs": EPOCHS[images.name],
        "learning_rate": RATES[images.name],
        "momentum": 0.9,
    }
    ours = Contestant("ours", "", [sys.executable, "-m", "benchmarks.table2_ours"])
    with started([ours, *(way for peer in WAYS for way in ways(peer))], case) as running:
        trial = {each.name: each.round(number=0, epochs=2)["epoch_seconds"][1] for each in running}
        best = [
            min((each for each in running if each.peer == peer), key=lambda each: trial[each.name])
            for peer in NAMES
        ]
        answers = interleave(best, ROUNDS)
        commands = {each.name: each.shell for each in running}
    for name, each in answers.items():
        print(f"{images.name}: {name} {summary(each)}", flush=True)
    return {"case": case, "commands": commands, "second_epoch_of_trial": trial, "rounds": answers}


def ways(peer: str) -> list[Contestant]:
    """A peer's ways to fit."""
    command = [str(environment(peer)), str(training.PEERS / peer / "fits.py")]
    return [Contestant(peer, way, [*command, way]) for way in WAYS[peer]]


def steps(images: ImageSet) -> dict[str, Any]:
    """Steps of ResNet-50 over images of that shape, by every way that does not compile minutes."""
    case = Case(f"resnet50_{images.name}", 64, 2, CORES, images.shape, images.classes, {})
    peers = [way for peer in WAYS for way in training.ways(peer, case)]
    quick = [way for way in peers if way.way != "compiled"]
    return training.measure(case, [training.ours(), *quick], ROUNDS)


def summary(answers: Sequence[Mapping[str, Any]]) -> str:
    """Median seconds of a fit and mean accuracy."""
    seconds = statistics.median(answer["seconds"] for answer in answers)
    accuracy = statistics.mean(answer["accuracy"] for answer in answers)
    return f"{seconds:.1f} s, {accuracy:.3f}"


def table(sets: Mapping[str, Any]) -> str:
    """Ours and the peers beside the paper's figures."""
    titles = [
        f"{name}, {sets[name]['train']:,} images, {epochs} epochs"
        for name, epochs in EPOCHS.items()
    ]
    lines = [_row(["", *titles]), _row(["---"] * 4)]
    for peer, title in NAMES.items():
        cells = []
        for name in EPOCHS:
            rounds = sets[name]["lenet"]["rounds"]
            cells += [summary(rounds[key]) for key in rounds if key.split()[0] == peer]
        lines.append(_row([f"LeNet-5, {title}", *cells]))
    for peer, title in NAMES.items():
        cells = []
        for name in EPOCHS:
            step = training.fastest(sets[name]["resnet50"], peer)[1]
            count = math.ceil(sets[name]["train"] / sets[name]["resnet50"]["case"]["batch"])
            cells.append(f"{step:.2f} s a step; an epoch of {count} steps {step * count:,.0f} s*")
        lines.append(_row([f"ResNet-50, {title}", *cells]))
    lines += [_row([title, *cells]) for title, cells in PAPER.items()]
    return "\n".join(lines) + "\n\n\\* extrapolated from steady steps; no epoch was run."


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main(sys.argv[1:])
