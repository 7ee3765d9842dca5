"""What groups that share servers, and workers that share steps, cost each other."""

import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from services.training.adapters.group import NodeGroup, Nodes, SharedServers

ROUNDS = 3
BOUND = 8
"""Updates that weights may lack in `bounded`."""

WINDOW_SECONDS = 6.0
_SETTLE_SECONDS = 2.0
_PATIENCE_SECONDS = 120.0
_SLOT_SECONDS = 0.004


class _EnoughError(Exception):
    """Ends a training that would go on for hours."""


class Run:
    """A training without end on a thread, whose settled steps are timed.

    Args:
        group: Carries it out.
        order: What is trained.
    """

    def __init__(self, group: NodeGroup, order: Mapping[str, Any]) -> None:
        self._group, self._order = group, order
        self._times: list[float] = []
        self._is_over = False
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def rate(self, seconds: float) -> float:
        """Steps a second in the next seconds."""
        before, started = len(self._times), time.perf_counter()
        time.sleep(seconds)
        return (len(self._times) - before) / (time.perf_counter() - started)

    def wait(self, steps: int = 50) -> None:
        """Return when so many more steps are settled.

        Raises:
            TimeoutError: They are not, for long.
        """
        until, before = time.monotonic() + _PATIENCE_SECONDS, len(self._times)
        while len(self._times) < before + steps:
            if time.monotonic() > until or not self._thread.is_alive():
                raise TimeoutError("training does not go on")
            time.sleep(0.05)

    def close(self) -> None:
        """End it."""
        self._is_over = True
        self._thread.join()

    def _work(self) -> None:
        with suppress(_EnoughError):
            self._group.run(self._order, self._hear)

    def _hear(self, message: Mapping[str, Any]) -> None:
        if self._is_over:
            raise _EnoughError
        if "settled" in message:
            self._times.append(time.perf_counter())


def isolation() -> list[dict[str, float]]:
    """Two groups of one worker share a server; the workers of one are killed again and again.

    The group that is measured, its coordinator and the server have one core; everything of the
    other group, and this process, has the other core. So what is left to share is the server.
    """
    rounds, cores = [], sorted(os.sched_getaffinity(0))
    with _shared(1) as (folder, servers):
        order = _endless(micro_batches=1)
        nodes = Nodes(workers=1, servers=1, groups=2)
        measured = Run(NodeGroup(folder / "a", nodes, servers, 0, save_seconds=1e6), order)
        with closing(measured):
            measured.wait()
            mine = psutil.Process().children(recursive=True)
            hold(mine, {cores[0]})
            hold([psutil.Process()], {cores[1]})
            other = Run(NodeGroup(folder / "b", nodes, servers, 1, save_seconds=1e6), order)
            with closing(other):
                for _ in range(ROUNDS):
                    other.wait()
                    others = [p for p in psutil.Process().children() if p not in mine]
                    hold(others, {cores[1]})
                    time.sleep(_SETTLE_SECONDS)
                    before = measured.rate(WINDOW_SECONDS)
                    for each in others:
                        if "worker" in each.cmdline():
                            each.kill()
                    rounds.append({"before": before, "after": measured.rate(WINDOW_SECONDS)})
    hold([psutil.Process()], set(cores))
    return rounds


def slow_worker(staleness: int | None) -> list[dict[str, float]]:
    """Four workers of a quarter of a core each, by turns; then one has only a twelfth.

    No two workers have a core at the same time, so none is faster because another one is slow.
    """
    rounds = []
    with _shared(1) as (folder, servers):
        # So many rows that computing, and not receiving weights, is what takes the time.
        order = _endless(micro_batches=4, staleness=staleness, batch_size=2048)
        nodes = Nodes(workers=4, servers=1, groups=2)
        run = Run(NodeGroup(folder / "a", nodes, servers, save_seconds=1e6), order)
        with closing(run):
            run.wait()
            workers = [p for p in psutil.Process().children() if "worker" in p.cmdline()]
            with closing(Turns(workers)) as turns:
                for _ in range(ROUNDS):
                    rates = {}
                    for name, every in (("equal", 1), ("slow", 3)):
                        turns.every = every
                        time.sleep(_SETTLE_SECONDS)
                        rates[name] = run.rate(WINDOW_SECONDS)
                    rounds.append(rates)
    return rounds


class Turns:
    """Lets one worker after the other run for a moment, and the first only every so many times.

    Args:
        workers: Stopped unless it is their turn.
    """

    def __init__(self, workers: Sequence[psutil.Process]) -> None:
        self._workers = workers
        self.every = 1
        self._is_over = False
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def close(self) -> None:
        """Let all run."""
        self._is_over = True
        self._thread.join()
        for worker in self._workers:
            worker.resume()

    def _work(self) -> None:
        for worker in self._workers:
            worker.suspend()
        turn = 0
        while not self._is_over:
            turn += 1
            for number, worker in enumerate(self._workers):
                if number or turn % self.every == 0:
                    worker.resume()
                    time.sleep(_SLOT_SECONDS)
                    worker.suspend()
                else:
                    time.sleep(_SLOT_SECONDS)


def hold(processes: Sequence[psutil.Process], cores: set[int]) -> None:
    """Keep all threads of these processes on some cores."""
    for process in processes:
        for thread in process.threads():
            os.sched_setaffinity(thread.id, cores)


@contextmanager
def _shared(count: int) -> Iterator[tuple[Path, SharedServers]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with closing(SharedServers(folder, count)) as servers:
            yield folder, servers


def _endless(
    micro_batches: int, staleness: int | None = 0, batch_size: int = 256
) -> dict[str, Any]:
    return {
        "recipe": "dense",
        "arguments": {"widths": [256, 512, 512, 10], "rows": 4096},
        "fit": {"batch_size": batch_size, "micro_batches": micro_batches, "epochs": 100_000},
        "sharing": {"owners": 1, "staleness": staleness, "has_seconds": False},
        "seed": 4,
    }
