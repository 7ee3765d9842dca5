"""PyTorch DDP over gloo: `python ddp.py CASE_JSON` for each rank; rank 0 answers rounds.

The case says `rank`, `world`, `address` and `port` of rank 0, `network` ("mlp" or "lenet"), the
whole `batch`, `steps` a round and `cores`. A line may be {"way": W}: "25mb" (DDP's own bucket),
"1mb", each also with "_bf16", which sends gradients by PyTorch's bfloat16 hook.
"""

import datetime
import json
import os
import sys
import time
from itertools import pairwise

import torch
import torch.distributed as dist
from networks import lenet
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.nn.parallel import DistributedDataParallel

WAYS = ("25mb", "1mb", "25mb_bf16", "1mb_bf16")
WIDTHS = (784, 1024, 1024, 1024, 10)


def network(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """The network, and the shape of one row."""
    if name == "lenet":
        model = lenet([28, 28, 1], 10).to(memory_format=torch.channels_last)
        return model, (1, 28, 28)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(WIDTHS):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1]), WIDTHS[:1]


class Way:
    """One setting of DDP with a model of its own."""

    def __init__(self, way: str, case: dict) -> None:
        torch.manual_seed(0)
        model, shape = network(case["network"])
        rows = case["batch"] // case["world"]
        self._x = torch.randn(rows, *shape)
        if len(shape) == 3:
            self._x = self._x.contiguous(memory_format=torch.channels_last)
        self._y = torch.randint(0, 10, (rows,))
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


def wanted(rank: int) -> int | None:
    """The number of the way that rank 0 was asked for; None when it is asked no more."""
    number = torch.tensor([-1])
    if rank == 0:
        line = sys.stdin.readline()
        if line:
            number[0] = WAYS.index(json.loads(line).get("way", WAYS[0]))
    dist.broadcast(number, 0)
    return int(number) if number >= 0 else None


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
    while (number := wanted(case["rank"])) is not None:
        dist.barrier()
        started = time.perf_counter()
        ways[number].run(case["steps"])
        dist.barrier()
        seconds = (time.perf_counter() - started) / case["steps"]
        if case["rank"] == 0:
            print("answer", json.dumps({"way": WAYS[number], "seconds": seconds}), flush=True)
    dist.destroy_process_group()


main()
