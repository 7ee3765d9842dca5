"""Trains by parameter servers on this machine: a process a node, replaced when it is lost."""

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from services.training.engine.environment import worker_environment
from services.training.runs.files import write_whole
from shared.errors import UnavailableError

MOST_STARTS = 20
"""Starts of one node's place before something must be wrong with more than the node."""

_POLL_SECONDS = 0.2
_END_SECONDS = 20.0
_FIRST_WORD_SECONDS = 120.0  # a busy machine takes long to import JAX

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Nodes:
    """How many processes share the work of one fit."""

    workers: int
    servers: int

    def roles(self) -> list[str]:
        """What each process is besides the coordinator; a server is a worker too where it can be.

        >>> Nodes(workers=3, servers=2).roles()
        ['both', 'both', 'worker']
        """
        both = min(self.workers, self.servers)
        spare = ["worker"] * (self.workers - both) + ["server"] * (self.servers - both)
        return ["both"] * both + spare


class NodeGroup:
    """One fit by a coordinator and its nodes, each held to a core of its own.

    Args:
        folder: For the order, checkpoints, the log and what comes out.
        nodes: How many processes.
        silence_seconds: A node that says nothing for so long is lost.
        save_seconds: From one checkpoint to the next.
    """

    def __init__(
        self, folder: Path, nodes: Nodes, *, silence_seconds: float = 15.0, save_seconds: float
    ) -> None:
        self._folder, self._nodes = folder, nodes
        self._silence_seconds, self._save_seconds = silence_seconds, save_seconds
        self._said: queue.Queue[tuple[subprocess.Popen[str], Message]] = queue.Queue()
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._readers: list[threading.Thread] = []
        self._starts: dict[int, int] = {}
        self._until: dict[int, float] = {}
        self._address = "127.0.0.1:0"

    @property
    def result_path(self) -> Path:
        """Where the coordinator leaves weights and history."""
        return self._folder / "out"

    def run(self, order: Message, on_message: Callable[[Message], None]) -> None:
        """Carry the order out, however often nodes are lost; a group killed before goes on.

        Args:
            order: As `order_builder` reads it.
            on_message: Hears what the coordinator says.

        Raises:
            UnavailableError: A node refuses the order, or is lost again and again.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._folder / "order.json", json.dumps(order).encode())
        with (self._folder / "log.txt").open("ab") as log:
            try:
                self._follow(log, on_message)
            finally:
                for process in self._processes.values():
                    _part(process)
                for reader in self._readers:
                    reader.join()

    def _follow(self, log: IO[bytes], on_message: Callable[[Message], None]) -> None:
        """Start everything; the coordinator is place 0, and first, for the others need it."""
        self._start(0, log)
        while True:
            try:
                process, message = self._said.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                pass
            else:
                self._until[process.pid] = time.monotonic() + self._silence_seconds
                if process is self._processes[0]:
                    self._hear(message, log, on_message)
            for process in self._processes.values():
                if time.monotonic() > self._until[process.pid]:
                    process.kill()  # it says every second that it runs, unless it was stopped
            if self._has_ended(log):
                return

    def _hear(
        self, message: Message, log: IO[bytes], on_message: Callable[[Message], None]
    ) -> None:
        if "listening" not in message:
            on_message(message)
            return
        self._address = message["listening"]
        for place in range(1, len(self._nodes.roles()) + 1):
            if place not in self._processes:
                self._start(place, log)

    def _has_ended(self, log: IO[bytes]) -> bool:
        """Replace who was lost; True when the coordinator has ended well."""
        for place, process in list(self._processes.items()):
            code = process.poll()
            if code == 0 and place == 0:
                self._let_end()
                return True
            if code is not None and code > 0:
                raise self._failure(f"{self._name(place)} ended with code {code}")
            if code is not None and code < 0:
                self._start(place, log)
        return False

    def _let_end(self) -> None:
        """Give nodes time to end by themselves; whoever cannot is killed afterwards."""
        until = time.monotonic() + _END_SECONDS
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(until - time.monotonic(), 0.0))

    def _start(self, place: int, log: IO[bytes]) -> None:
        self._starts[place] = self._starts.get(place, 0) + 1
        if self._starts[place] > MOST_STARTS:
            raise self._failure(f"{self._name(place)} was lost {MOST_STARTS} times")
        process = subprocess.Popen(
            [*_pinned(place), sys.executable, "-m", "services.training.node", *self._says(place)],
            env=worker_environment(os.environ),
            stdin=subprocess.PIPE,  # a node ends when it closes, as it does when this process dies
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        if place in self._processes:
            _part(self._processes[place])
        self._processes[place] = process
        self._until[process.pid] = time.monotonic() + _FIRST_WORD_SECONDS
        reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _says(self, place: int) -> list[str]:
        """The arguments of a node."""
        if place:
            role = self._nodes.roles()[place - 1]
            return ["--role", role, "--tied", "--coordinator", self._address]
        return [
            *("--role", "coordinator", "--tied", "--listen", self._address),
            *("--order", str(self._folder / "order.json"), "--out", str(self.result_path)),
            *("--workers", str(self._nodes.workers), "--servers", str(self._nodes.servers)),
            *("--checkpoints", str(self._folder / "kept"), "--every", str(self._save_seconds)),
            *("--silence", str(self._silence_seconds)),
        ]

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                if line.endswith("\n"):  # a killed process may leave half a line
                    self._said.put((process, json.loads(line)))

    def _name(self, place: int) -> str:
        return f"node {place} ({self._nodes.roles()[place - 1]})" if place else "the coordinator"

    def _failure(self, what: str) -> UnavailableError:
        log = (self._folder / "log.txt").read_text(encoding="utf-8", errors="replace")[-2000:]
        return UnavailableError(
            f"{what}; see {self._folder / 'log.txt'}", reason="TRAINING_NODE_FAILED", log=log
        )


def _part(process: "subprocess.Popen[str]") -> None:
    """Leave nothing of a node behind; its reader closes what it printed to."""
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


def _pinned(place: int) -> list[str]:
    """The start of a command that keeps a node on one core; the coordinator goes where it likes."""
    if not place or not hasattr(os, "sched_getaffinity") or not shutil.which("taskset"):
        return []
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[(place - 1) % len(cores)])]
