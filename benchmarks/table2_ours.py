"""Our side of a fit: `python -m benchmarks.table2_ours CASE_JSON` answers with whole fits."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.training_ours import entropy
from services.training.engine import (
    Arrays,
    FitConfig,
    OptimizerConfig,
    Weights,
    fit,
    predict_fn,
)
from services.training.models import Field, HeadSpec, InputSpec, LayerList, LeNet5Config


def main() -> None:
    """Fit LeNet-5 once for every line read."""
    case = json.loads(sys.argv[1])
    images = InputSpec((Field("images", tuple(case["shape"])),))
    layers = LeNet5Config().build(images, (HeadSpec("kind", case["classes"]),))
    train, test = (arrays(Path(case["folder"]), part) for part in ("train", "test"))
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = one_fit(layers, train, test, {**case, **request})
        print("answer", json.dumps(answer), flush=True)


def arrays(folder: Path, part: str) -> Arrays:
    """The images as bytes; the network scales them by itself."""
    with np.load(folder / f"{part}.npz") as kept:
        return Arrays({"images": kept["images"]}, {"kind": kept["labels"].astype(np.int32)})


def one_fit(layers: LayerList, train: Arrays, test: Arrays, case: dict[str, Any]) -> dict[str, Any]:
    """Seconds of a whole fit, compiling included, of each epoch, and the accuracy after it."""
    optimizer = OptimizerConfig(
        kind="sgd",
        learning_rate=case["learning_rate"],
        momentum=case["momentum"],
        schedule="cosine",
        warmup_share=0.0,
        weight_decay=0.0,
        clip_norm=None,
    )
    config = FitConfig(batch_size=case["batch"], epochs=case["epochs"], optimizer=optimizer)
    nothing = Arrays({"images": train.inputs["images"][:0]}, {"kind": train.targets["kind"][:0]})
    ends = [time.perf_counter()]
    result = fit(
        layers,
        entropy,
        train,
        nothing,
        config,
        seed=case["number"],
        on_epoch=lambda _: ends.append(time.perf_counter()),
    )
    seconds = time.perf_counter() - ends[0]
    return {
        "seconds": seconds,
        "epoch_seconds": np.diff(ends).tolist(),
        "accuracy": accuracy(layers, result.parameters, test),
    }


def accuracy(layers: LayerList, weights: Weights, test: Arrays) -> float:
    """Share of test images whose class is named rightly."""
    predict = jax.jit(predict_fn(layers))
    right = 0
    for start in range(0, len(test), 500):
        rows = slice(start, start + 500)
        logits = np.asarray(predict(weights, {"images": test.inputs["images"][rows]})["kind"])
        right += int((logits.argmax(1) == test.targets["kind"][rows]).sum())
    return right / len(test)


if __name__ == "__main__":
    main()
