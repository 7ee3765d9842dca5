"""The distributed rows of the paper's Table 2: LeNet-5 on two nodes with a core each."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.distributed_groups import on_loopback, ours
from benchmarks.distributed_lenet import steps
from benchmarks.distributed_rounds import fastest, medians
from benchmarks.images import ImageSet, image_set
from benchmarks.table2 import EPOCHS, RATES
from benchmarks.training_rounds import Answer

BATCH = 256
ROUNDS = 3
TITLES = {
    "ours": "Oriel, layer-wise parameter servers",
    "ddp": "PyTorch DDP",
    "mwms": "TensorFlow MultiWorkerMirrored",
    "tf_ps": "TensorFlow ParameterServerStrategy",
}
PAPER = {
    "the paper, DCNNPS": ("18.5 s, 0.973", "17.9 s, 0.802", "15.5 s, 0.821"),
    "the paper, distributed TensorFlow": ("42.0 s, 0.966", "41.4 s, 0.785", "34.2 s, 0.803"),
}


def measure(name: str) -> dict[str, Any]:
    """Steady steps of everybody on images of that set's shape, and a whole fit of ours."""
    images = image_set(name)
    case = {"network": "lenet", "shape": list(images.shape), "classes": images.classes}
    measured = steps(name, {**case, "batch": BATCH, "steps": 20}, ROUNDS)
    whole = fit(images, images.train_count, EPOCHS[name])
    print(f"{name}: whole fit {whole['seconds']:.1f} s, {whole['accuracy']:.3f}", flush=True)
    return {**measured, "train": images.train_count, "epochs": EPOCHS[name], "fit": whole}


def fit(images: ImageSet, count: int, epochs: int) -> Answer:
    """One whole fit of ours on two nodes."""
    order = {
        "recipe": "images",
        "arguments": {
            "model": {"type": "lenet5"},
            "folder": str(images.folder),
            "shape": images.shape,
            "classes": images.classes,
            "count": count,
        },
        "fit": {
            "batch_size": BATCH,
            "micro_batches": 2,
            "epochs": epochs,
            "optimizer": {
                "kind": "sgd",
                "learning_rate": 2 * RATES[images.name],
                "schedule": "cosine",
                "warmup_share": 0.0,
                "weight_decay": 0.0,
                "clip_norm": None,
            },
        },
        "sharing": {"owners": 2, "has_seconds": False},
    }
    case = {"role": "fit", "order": order, "test": str(images.folder)}
    with ours(on_loopback(2), case) as running:
        return running.round()


def table(sets: Mapping[str, Any]) -> list[str]:
    """Seconds of the same epochs by everybody, beside the paper's figures."""
    heads = [f"{n}, {p['train']:,} images, {p['epochs']} epochs" for n, p in sets.items()]
    lines = [_row(["LeNet-5 on two nodes", *heads]), _row(["---"] * (1 + len(heads)))]
    for peer, title in TITLES.items():
        lines.append(_row([title, *(f"{_seconds(part, peer):.1f} s" for part in sets.values())]))
    fits = [f"{p['fit']['seconds']:.1f} s, {p['fit']['accuracy']:.3f}" for p in sets.values()]
    lines.append(_row(["Oriel, a whole fit with compiling", *fits]))
    return [*lines, *(_row([title, *cells]) for title, cells in PAPER.items())]


def _seconds(part: Mapping[str, Any], peer: str) -> float:
    """The epochs as so many steady steps of the peer's fastest way."""
    count: int = math.ceil(part["train"] / part["batch"]) * part["epochs"]
    return count * fastest(medians(part["rounds"]), peer)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
