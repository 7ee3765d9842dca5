"""Nodes of training groups as processes of this machine."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from services.training.engine.environment import worker_environment

Message = Mapping[str, Any]
Hear = Callable[[Message], None]


class NodeProcess:
    """One node as a process; it ends when this one does.

    Args:
        arguments: Of `services.training.node`.
        core: Which of the cores it is held to; None lets it go where it likes.
        log: File that its errors are added to.
        hear: Called by a thread with each message that it prints.
        command: Starts a node; the arguments are added.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        core: int | None,
        log: Path,
        hear: Hear,
        command: Sequence[str] = (sys.executable, "-m", "services.training.node"),
    ) -> None:
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [*_pinned(core), *command, *arguments],
                env=worker_environment(os.environ),
                stdin=subprocess.PIPE,  # a node ends when it closes, as when this process dies
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._hear = hear
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def poll(self) -> int | None:
        """Its exit code, negative if a signal ended it; None while it runs."""
        return self._process.poll()

    def tell(self, line: str) -> None:
        """Write a line to its stdin; nothing happens if it has ended."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        """End it, also when it is stopped."""
        self._process.kill()

    def wait(self, seconds: float) -> None:
        """Give it that long to end by itself."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def part(self) -> None:
        """Leave nothing of it behind."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # what it was told last was never read
            self._process.stdin.close()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                if line.endswith("\n"):  # a killed process may leave half a line
                    self._hear(json.loads(line))


def _pinned(core: int | None) -> list[str]:
    """The start of a command that keeps a process on one core."""
    if core is None or not hasattr(os, "sched_getaffinity") or not shutil.which("taskset"):
        return []
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[core % len(cores)])]
