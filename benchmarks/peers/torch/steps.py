"""PyTorch's side of a case: `python steps.py WAY CASE_JSON` answers a line with a round.

WAY is "eager", "channels_last" or "compiled"; the compiler chooses the layout by itself.
"""

import json
import sys
import time

import torch
from networks import network
from torch import nn


def main() -> None:
    way, case = sys.argv[1], json.loads(sys.argv[2])
    torch.manual_seed(0)
    torch.set_num_threads(case["cores"])
    torch.set_num_interop_threads(1)
    torch.set_flush_denormal(True)
    model = network(case)
    x = torch.randn(case["batch"], *case["shape"])
    y = torch.randint(0, case["classes"], (case["batch"],))
    if len(case["shape"]) == 3:
        x = x.permute(0, 3, 1, 2).contiguous()
        if way == "channels_last":
            model = model.to(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)

    def mean_loss() -> torch.Tensor:
        return nn.functional.cross_entropy(model(x), y)

    forward = torch.compile(mean_loss) if way == "compiled" else mean_loss

    def step() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = forward()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(3):
        step()
    print("ready", flush=True)
    for _ in sys.stdin:
        started, busy = time.perf_counter(), time.process_time()
        for _ in range(case["steps"]):
            loss = step()
        loss.item()
        taken = {
            "seconds": (time.perf_counter() - started) / case["steps"],
            "cpu_seconds": (time.process_time() - busy) / case["steps"],
        }
        print("answer", json.dumps(taken), flush=True)


main()
