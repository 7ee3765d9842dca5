"""One process of our parameter servers: `python -m benchmarks.distributed_ours CASE_JSON`.

The case says `role`. A "node" is worker and server and follows the `coordinator`'s address. A
"coordinator" listens at `listen`, waits for so many `nodes`, trains what `order` says, and answers
a line with a round of its `steps`; between rounds the group has nothing to do. A "fit" is a
coordinator that trains to the end when it is asked to, and answers with the accuracy on the `test`
folder too.
"""

import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.distributed_images import images
from benchmarks.table2_ours import accuracy, arrays
from services.training.engine.environment import run_programs_where_called
from services.training.engine.ps.coordinator import Coordinator
from services.training.engine.ps.job import Job
from services.training.engine.ps.near import NearTransport
from services.training.engine.ps.nodes import Surroundings, serve, work
from services.training.engine.ps.orders import order_builder
from services.training.engine.ps.outcome import Crew
from services.training.engine.ps.recipes import RECIPES
from services.training.engine.ps.sockets import SocketTransport
from services.training.orphans import end_with_parent

BUILD = order_builder({**RECIPES, "images": images})
LEAD_STEPS = 2
"""Steps of a round before its time is taken: the group has been idle."""

PATIENCE_SECONDS = 3600.0
"""Nodes hear nothing of each other while others have their rounds."""


class Gate:
    """Holds a coordinator back between rounds, by the settled steps that it tells of."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._times: dict[int, float] = {}
        self._last, self._open = 0, 0

    def settled(self, step: int) -> None:
        """Note when that was; return once steps beyond it are wanted."""
        with self._changed:
            self._times[step], self._last = time.perf_counter(), step
            self._changed.notify_all()
            while step >= self._open:
                self._changed.wait()

    def steps(self, count: int) -> list[float]:
        """Let that many steps be done after a few others, and return the seconds of each."""
        with self._changed:
            first = self._last + LEAD_STEPS
            self._open = first + count
            self._changed.notify_all()
            while self._last < self._open:
                self._changed.wait()
            times = [self._times[step] for step in range(first, self._open + 1)]
            self._times.clear()
        return [later - earlier for earlier, later in pairwise(times)]


def coordinate(case: dict[str, Any]) -> None:
    """Train until there is nobody left to ask for rounds."""
    gate = Gate()
    job, coordinator = _listening(case, gate.settled)
    threading.Thread(target=_answer, args=(case, coordinator, gate), daemon=True).start()
    coordinator.run(job.start())


def fit(case: dict[str, Any]) -> None:
    """Train to the end once it is asked for; compiling counts, starting processes does not."""
    test = arrays(Path(case["test"]), "test")
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    job, coordinator = _listening(case)
    outcome = coordinator.run(job.start())
    answer = {
        "seconds": time.perf_counter() - started,
        "step_seconds": statistics.median(outcome.step_seconds),
        "steps": job.total_steps,
        "accuracy": accuracy(job.layers, outcome.standing.result().parameters, test),
    }
    print("answer", json.dumps(answer), flush=True)


def _listening(
    case: dict[str, Any], on_settled: Callable[[int], None] = lambda _: None
) -> tuple[Job, Coordinator]:
    job = BUILD(case["order"])
    crew = Crew(case["nodes"], case["nodes"], PATIENCE_SECONDS)
    coordinator = Coordinator("all", case["order"], job, crew, on_settled=on_settled)
    SocketTransport().listen(case["listen"], coordinator)
    return job, coordinator


def take_part(case: dict[str, Any]) -> None:
    """Be worker and server until ended."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    run_programs_where_called()
    network = NearTransport(SocketTransport())
    surroundings = Surroundings(network, BUILD, PATIENCE_SECONDS)
    address = case["coordinator"]
    serving = threading.Thread(
        target=serve, args=(surroundings, case["listen"], [address]), daemon=True
    )
    serving.start()
    work(surroundings, address)


def _answer(case: dict[str, Any], coordinator: Coordinator, gate: Gate) -> None:
    gate.steps(case["warm"])
    print("ready", flush=True)
    for line in sys.stdin:
        seconds = gate.steps(json.loads(line)["steps"])
        schedule = coordinator.schedule
        answer = {
            "seconds": sum(seconds) / len(seconds),
            "step_seconds": seconds,
            "schedule": f"{schedule.kind} {schedule.piece_bytes >> 10} KiB",
        }
        print("answer", json.dumps(answer), flush=True)
    os._exit(0)  # the job has no end of its own


def main() -> None:
    """Be what the case says."""
    case = json.loads(sys.argv[1])
    os.environ.update(case.get("environment", {}))
    {"coordinator": coordinate, "fit": fit, "node": take_part}[case["role"]](case)


if __name__ == "__main__":
    main()
