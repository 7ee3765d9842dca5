"""PyTorch's side of a fit: `python fits.py WAY CASE_JSON` answers a line with a whole fit.

WAY is "eager" or "channels_last". Images stay in memory as bytes; a batch is gathered by index.
"""

import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from networks import lenet
from torch import nn


def read(folder: Path, part: str, is_last: bool) -> tuple[torch.Tensor, torch.Tensor]:
    kept = np.load(folder / f"{part}.npz")
    images = torch.from_numpy(kept["images"])
    if not is_last:
        images = images.permute(0, 3, 1, 2).contiguous()
    return images, torch.from_numpy(kept["labels"]).long()


def initialise(model: nn.Module) -> None:
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for layer in layers:
        gain = "linear" if layer is layers[-1] else "relu"
        nn.init.kaiming_normal_(layer.weight, nonlinearity=gain)
        nn.init.zeros_(layer.bias)


def fit(case: dict, is_last: bool, train: tuple, test: tuple) -> dict:
    torch.manual_seed(case["number"])
    shuffle = np.random.default_rng(case["number"])

    def scaled(images: torch.Tensor) -> torch.Tensor:
        x = images.float().div_(127.5).sub_(1.0)
        return x.permute(0, 3, 1, 2) if is_last else x

    started = time.perf_counter()
    ends = [started]
    model = lenet(case["shape"], case["classes"])
    initialise(model)
    if is_last:
        model = model.to(memory_format=torch.channels_last)
    rate, momentum, batch = case["learning_rate"], case["momentum"], case["batch"]
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum, fused=True)
    images, labels = train
    steps, done = case["epochs"] * math.ceil(len(images) / batch), 0
    for _ in range(case["epochs"]):
        order = torch.from_numpy(shuffle.permutation(len(images)))
        for rows in order.split(batch):
            optimizer.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * done / steps))
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(model(scaled(images[rows])), labels[rows]).backward()
            optimizer.step()
            done += 1
        ends.append(time.perf_counter())
    with torch.inference_mode():
        right = [
            (model(scaled(x)).argmax(1) == y).sum().item()
            for x, y in zip(test[0].split(500), test[1].split(500), strict=True)
        ]
    return {
        "seconds": ends[-1] - started,
        "epoch_seconds": np.diff(ends).tolist(),
        "accuracy": sum(right) / len(test[0]),
    }


def main() -> None:
    is_last, case = sys.argv[1] == "channels_last", json.loads(sys.argv[2])
    torch.set_num_threads(case["cores"])
    torch.set_num_interop_threads(1)
    torch.set_flush_denormal(True)
    train, test = (read(Path(case["folder"]), part, is_last) for part in ("train", "test"))
    print("ready", flush=True)
    for line in sys.stdin:
        answer = fit({**case, **json.loads(line)}, is_last, train, test)
        print("answer", json.dumps(answer), flush=True)


main()
