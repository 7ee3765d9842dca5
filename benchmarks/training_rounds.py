"""Interleaved rounds between contestants that each live in a process of their own."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Contestant:
    """A command that reads a case from its first argument and then times a round for each line."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


class Running:
    """A contestant's process, warm and waiting, held to the first `cores` cores."""

    def __init__(self, contestant: Contestant, case: Mapping[str, object], cores: int) -> None:
        self.name = contestant.name
        pinned = ["taskset", "-c", ",".join(str(core) for core in range(cores))]
        self._process = subprocess.Popen(
            [*pinned, *contestant.command, json.dumps(case)],
            cwd=ROOT,
            env={**os.environ, **contestant.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._expect("ready")

    def round(self) -> float:
        """Seconds of one optimizer step, over the case's number of steps."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return float(self._expect("seconds"))

    def _expect(self, word: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(word):
                return line.removeprefix(word).strip()
        raise RuntimeError(f"{self.name} ended with {self._process.wait()} before saying {word!r}")

    def __enter__(self) -> Self:
        """The process itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process by closing what it reads."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def interleave(running: Sequence[Running], rounds: int) -> dict[str, list[float]]:
    """Seconds a step by contestant: one round each in turn, so that all share one machine state."""
    seconds: dict[str, list[float]] = {each.name: [] for each in running}
    for _ in range(rounds):
        for each in running:
            seconds[each.name].append(each.round())
    return seconds
