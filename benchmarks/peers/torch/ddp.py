"""PyTorch DDP over gloo: `python ddp.py CASE_JSON` for each rank; rank 0 answers rounds.

The case says `rank`, `world`, `address` and `port` of rank 0, `network` ("mlp", "lenet" or
"resnet50"), for images their `shape` and `classes`, the whole `batch` and `cores`. A line is
{"steps": N} and may name its "way": "25mb" (DDP's own bucket), "1mb", each also with "_bf16", which
sends gradients by PyTorch's bfloat16 hook.
"""

import datetime
import json
import os
import sys
import time
from itertools import pairwise

import torch
import torch.distributed as dist
from networks import lenet, resnet50
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.nn.parallel import DistributedDataParallel

WAYS = ("25mb", "1mb", "25mb_bf16", "1mb_bf16")
WIDTHS = (784, 1024, 1024, 1024, 10)


def network(case: dict) -> tuple[nn.Module, tuple[int, ...]]:
    """The network, and the shape of one row."""
    if case["network"] == "mlp":
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(WIDTHS):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers[:-1]), WIDTHS[:1]
    height, width, channels = case["shape"]
    model = (
        lenet(case["shape"], case["classes"])
        if case["network"] == "lenet"
        else resnet50(channels, case["classes"])
    )
    return model.to(memory_format=torch.channels_last), (channels, height, width)


class Way:
    """One setting of DDP with a model of its own."""

    def __init__(self, way: str, case: dict) -> None:
        torch.manual_seed(0)
        model, shape = network(case)
        rows = case["batch"] // case["world"]
        self._x = torch.randn(rows, *shape)
        if len(shape) == 3:
            self._x = self._x.contiguous(memory_format=torch.channels_last)
        self._y = torch.randint(0, case.get("classes", 10), (rows,))
        bucket = 1 if way.startswith("1mb") else 25
        self._model = DistributedDataParallel(
            model, bucket_cap_mb=bucket, gradient_as_bucket_view=True
        )
        if way.endswith("bf16"):
            self._model.register_comm_hook(None, bf16_compress_hook)
        self._optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)

    def run(self, steps: int) -> float:
        """The loss after some steps."""
        for _ in range(steps):
            self._optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(self._model(self._x), self._y)
            loss.backward()
            self._optimizer.step()
        return loss.item()


def wanted(rank: int) -> tuple[int, int] | None:
    """The number of the way and the steps that rank 0 was asked for; None when it is no more."""
    asked = torch.tensor([-1, 0])
    if rank == 0:
        line = sys.stdin.readline()
        if line:
            request = json.loads(line)
            asked = torch.tensor([WAYS.index(request.get("way", WAYS[0])), request["steps"]])
    dist.broadcast(asked, 0)
    number, steps = asked.tolist()
    return (number, steps) if number >= 0 else None


def main() -> None:
    case = json.loads(sys.argv[1])
    if case["address"].startswith("127."):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(case["cores"])
    torch.set_flush_denormal(True)
    dist.init_process_group(
        "gloo",
        init_method=f"tcp://{case['address']}:{case['port']}",
        rank=case["rank"],
        world_size=case["world"],
        timeout=datetime.timedelta(hours=2),
    )
    ways = [Way(way, case) for way in WAYS]
    for way in ways:
        way.run(3)
    dist.barrier()
    print("ready", flush=True)
    while (asked := wanted(case["rank"])) is not None:
        number, steps = asked
        dist.barrier()
        started = time.perf_counter()
        ways[number].run(steps)
        dist.barrier()
        seconds = (time.perf_counter() - started) / steps
        if case["rank"] == 0:
            print("answer", json.dumps({"way": WAYS[number], "seconds": seconds}), flush=True)
    dist.destroy_process_group()


main()
