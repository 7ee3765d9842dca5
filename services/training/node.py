"""One node of a training group: `python -m services.training.node --role ROLE …`.

A coordinator reads an order, waits for its nodes and writes the trained weights; servers keep the
parameters; workers compute. Each ends by itself. The coordinator prints JSON lines: where it can
be reached, and how far training is.
"""

import argparse
import json
import queue
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from services.training.engine.checkpoints import Checkpoints
from services.training.engine.environment import run_programs_where_called
from services.training.engine.fitting import EpochReport, Pace
from services.training.engine.ps.coordinator import Coordinator
from services.training.engine.ps.job import Job
from services.training.engine.ps.near import NearTransport
from services.training.engine.ps.nodes import Surroundings, serve, work
from services.training.engine.ps.orders import order_builder
from services.training.engine.ps.outcome import Crew, Outcome
from services.training.engine.ps.recipes import RECIPES
from services.training.engine.ps.sockets import SocketTransport
from services.training.orphans import end_with_parent
from services.training.runs.recipes import RECIPES as RUN_RECIPES

ANY = "127.0.0.1:0"

ALL_RECIPES = {**RECIPES, **RUN_RECIPES}

_PACE_SECONDS = 1.0


def main(arguments: list[str]) -> int:
    """Be the node that the arguments describe, until its work is done."""
    options = _parser().parse_args(arguments)
    lines: queue.Queue[str] = queue.Queue()
    if options.tied:
        threading.Thread(target=end_with_parent, args=(lines.put,), daemon=True).start()
        threading.Thread(target=_beat, daemon=True).start()
    if options.role == "coordinator":
        _coordinate(options)
    elif options.coordinator == ["-"]:
        _take_part(options, iter(lines.get, None))
    else:
        _take_part(options, options.coordinator)
    return 0


def _coordinate(options: argparse.Namespace) -> None:
    order = json.loads(options.order.read_text(encoding="utf-8"))
    job = order_builder(ALL_RECIPES)(order)
    network = SocketTransport()
    crew = Crew(options.workers, options.servers, options.silence)
    # Nodes and their number may change between starts; what is trained may not.
    identity = json.dumps({**order, "sharing": None}, sort_keys=True)
    with ExitStack() as stack:
        stack.callback(network.close)
        store = None
        if options.checkpoints is not None:
            store = stack.enter_context(Checkpoints(options.checkpoints, identity, options.every))
        teller = _Teller(job)
        coordinator = Coordinator(
            options.group, order, job, crew, store, teller.settled, teller.epoch
        )
        _say(listening=network.listen(options.listen, coordinator))
        _write(options.out, coordinator.run(job.start()))


def _take_part(options: argparse.Namespace, coordinators: Iterable[str]) -> None:
    run_programs_where_called()
    network = NearTransport(SocketTransport())
    surroundings = Surroundings(network, order_builder(ALL_RECIPES), options.patience)
    serving = threading.Thread(
        target=serve,
        args=(surroundings, options.listen, coordinators),
        name="serve",
        daemon=True,  # where the worker fails, the node does
    )
    try:
        if options.role != "worker":
            serving.start()
        if options.role != "server":
            work(surroundings, options.coordinator[0])
        if options.role != "worker":
            serving.join()
    finally:
        network.close()


def _write(folder: Path, outcome: Outcome) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    result = outcome.standing.result()
    weights = {name: np.asarray(values) for name, values in result.parameters.items()}
    save_file(weights, folder / "weights.safetensors")
    said = {
        "history": [asdict(report) for report in result.history],
        "best_epoch": result.best_epoch,
        "steps_per_second": result.steps_per_second,
        "losses": outcome.losses,
        "step_seconds": outcome.step_seconds,
        "schedule": asdict(outcome.schedule),
    }
    (folder / "outcome.json").write_text(json.dumps(said), encoding="utf-8")


class _Teller:
    """Says how far a job is: steps, epochs, and about once a second its speed."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._since, self._told = time.perf_counter(), 0

    def settled(self, step: int) -> None:
        """All updates up to that step are done."""
        _say(settled=step)
        now = time.perf_counter()
        if now - self._since < _PACE_SECONDS:
            return
        speed = (step - self._told) / (now - self._since)
        epoch, done = divmod(step, self._job.steps_per_epoch)
        _say(pace=asdict(Pace(epoch, done, speed, speed * self._job.batch_size)))
        self._since, self._told = now, step

    def epoch(self, report: EpochReport) -> None:
        """An epoch is over."""
        _say(epoch=asdict(report))


def _beat() -> None:
    """Show that this process runs, for whoever supervises it."""
    while True:
        _say(alive=True)
        time.sleep(_PACE_SECONDS)


def _say(**message: object) -> None:
    # In one write, because several threads say something.
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.training.node")
    roles = ["coordinator", "server", "worker", "both"]
    parser.add_argument("--role", choices=roles, required=True)
    parser.add_argument("--listen", default=ANY, help="host:port; port 0 takes any free one")
    parser.add_argument(
        "--coordinator",
        action="append",
        default=[],
        help="host:port of the group's coordinator; a server may have several, or is told them "
        "line by line on stdin when this is - and it is tied",
    )
    parser.add_argument(
        "--tied", action="store_true", help="end when stdin closes; say every second: alive"
    )
    parser.add_argument("--group", default="all", help="name of the coordinator's group")
    parser.add_argument("--order", type=Path, help="JSON file that says what is trained")
    parser.add_argument("--workers", type=int, default=1, help="workers to wait for")
    parser.add_argument("--servers", type=int, default=1, help="servers to wait for")
    parser.add_argument("--out", type=Path, help="folder for the weights and the losses")
    parser.add_argument("--checkpoints", type=Path, help="folder to keep and go on from")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between checkpoints")
    parser.add_argument(
        "--silence", type=float, default=15.0, help="seconds after which a silent node is lost"
    )
    parser.add_argument(
        "--patience", type=float, default=60.0, help="seconds to look for a coordinator"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
