"""Measures what a simulated cluster is made of: `python -m benchmarks.distributed_calibration C`.

The case C has the `order` of one node's share. The answer has seconds of each stage, of an update's
byte, and of a message there and half back between two processes with a core each.
"""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks.distributed_ours import BUILD
from services.training.engine.layerwise import LayerPrograms, Program
from services.training.engine.ps.feed import Feed
from services.training.engine.ps.job import Job
from services.training.engine.ps.messages import Header, Kind
from services.training.engine.ps.rules import Rules
from services.training.engine.ps.sockets import SocketTransport
from services.training.engine.ps.transport import Connection

REPEATS = 15
UPDATED = 65_536
"""Numbers of an update that is timed: what travels at once."""


def stages(job: Job) -> list[dict[str, float]]:
    """Bytes and seconds of every stage, forward and back, each program awaited by itself."""
    taken: defaultdict[tuple[int, str], list[float]] = defaultdict(list)

    def timed(number: int, kind: str, program: Program) -> Program:
        def call(*arguments: Any) -> Any:
            started = time.perf_counter()
            result = program(*arguments)
            for leaf in jax.tree.leaves(result):
                leaf.block_until_ready()
            taken[number, kind].append(time.perf_counter() - started)
            return result

        return call

    programs = LayerPrograms(
        job.layers, job.objective, job.config.precision, job.stages, wrap=timed
    )
    weights, part = job.start().state.weights, Feed(job).part(0, 0)
    given = _by_stage(job, weights)
    for _ in range(REPEATS + 2):
        passed = programs.forward(given, part.batch, part.scale, part.key)
        programs.backward(passed, lambda _number, _gradient: None)
    return [
        {
            "parameter_bytes": 4 * sum(job.layers[layer].layout.size for layer in stage.layers),
            **{
                f"{way}_seconds": sum(
                    statistics.median(taken[number, kind][2:] or [0.0]) for kind in kinds
                )
                for way, kinds in (
                    ("forward", ("forward",)),
                    ("backward", ("backward", "carry", "turn")),
                )
            },
        }
        for number, stage in enumerate(job.stages)
    ]


def _by_stage(job: Job, weights: Any) -> dict[str, Any]:
    given = dict(weights)
    for stage in job.stages:
        parts = [weights[job.layers[layer].name] for layer in stage.layers]
        given[stage.name] = np.concatenate([np.asarray(part) for part in parts])
    return given


def update_seconds_a_byte(job: Job) -> float:
    """Of an owner's update, for each byte of parameters."""
    rules, vector = Rules(job), next(n for n, v in enumerate(job.vectors) if not v.is_state)
    size = min(UPDATED, job.vectors[vector].size)
    state: Any = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, leaf.dtype), rules.template(vector, size)
    )
    values, total = jax.device_put(np.zeros(size, np.float32)), np.ones(size, np.float32)

    def once() -> None:
        np.asarray(rules.apply(vector, 0, values, state, total)[0])

    return _median_seconds(once) / (4 * size)


class _Echo:
    """Sends every message back, or says that it came back."""

    def __init__(self, is_far: bool) -> None:
        self._is_far, self.back = is_far, threading.Semaphore(0)

    def room(self, header: Header) -> memoryview:
        return memoryview(bytearray(header.body))

    def received(self, connection: Connection, header: Header, body: memoryview) -> None:
        connection.send(header, body) if self._is_far else self.back.release()

    def lost(self, connection: Connection, error: Exception | None) -> None:  # noqa: ARG002
        if self._is_far:
            os._exit(0)


def echo() -> None:
    """Be the far end."""
    print(SocketTransport().listen("127.0.0.1:0", _Echo(is_far=True)), flush=True)
    threading.Event().wait()


def one_way(address: str) -> dict[str, float]:
    """Seconds of an empty message, and of each byte more."""
    near = _Echo(is_far=False)
    link = SocketTransport().connect(address, near)

    def send(size: int) -> Callable[[], None]:
        body = bytes(size)

        def once() -> None:
            link.send(Header(Kind.GRADIENT, body=size), body)
            near.back.acquire()

        return once

    empty, full = (_median_seconds(send(size)) / 2 for size in (0, 4 * UPDATED))
    return {"message_seconds": empty, "byte_seconds": (full - empty) / (4 * UPDATED)}


def _median_seconds(act: Callable[[], None]) -> float:
    taken = []
    for _ in range(4 * REPEATS):
        started = time.perf_counter()
        act()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> None:
    """Measure what the case's order takes; `echo` is the other end of its messages."""
    if sys.argv[1] == "echo":
        echo()
    job = BUILD(json.loads(sys.argv[1])["order"])
    command = ["taskset", "-c", "1", sys.executable, "-m", "benchmarks.distributed_calibration"]
    with subprocess.Popen([*command, "echo"], stdout=subprocess.PIPE, text=True) as far:
        assert far.stdout is not None
        found = one_way(far.stdout.readline().strip())
        far.terminate()
    answer = {"stages": stages(job), "update_seconds_a_byte": update_seconds_a_byte(job), **found}
    print("answer", json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
