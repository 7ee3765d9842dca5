"""Interleaved rounds between contestants that each live in a process of their own."""

import json
import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from benchmarks.machine import ROOT
from services.training.engine import worker_environment

Answer = dict[str, Any]


@dataclass(frozen=True)
class Contestant:
    """A command that reads a case from its last argument and then answers a line with a round.

    Args:
        peer: Whose program it is: "ours", or a folder of `peers`.
        way: Which of the peer's settings this is.
        is_needed: Whether the measurement makes no sense without it.
    """

    peer: str
    way: str
    command: Sequence[str]
    is_needed: bool = True

    @property
    def name(self) -> str:
        """As results call it."""
        return f"{self.peer} {self.way}".strip()


class Running:
    """A contestant's process that is spoken to.

    Args:
        prefix: Put before its command: on which cores it runs, and at which host.
    """

    def __init__(
        self, contestant: Contestant, case: Mapping[str, Any], prefix: Sequence[str]
    ) -> None:
        self.name, self.peer = contestant.name, contestant.peer
        command = [*prefix, *contestant.command, json.dumps(case)]
        settings = process_settings()
        self.shell = shlex.join(["env", *(f"{k}={v}" for k, v in settings.items()), *command])
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Return once it is warm.

        Raises:
            RuntimeError: It ended before.
        """
        self._expect("ready")

    def round(self, **request: Any) -> Answer:
        """What one round gave: `seconds` and whatever the case is also asked for."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: Answer = json.loads(self._expect("answer"))
        return answer

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
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()


@contextmanager
def started(contestants: Sequence[Contestant], case: Mapping[str, Any]) -> Iterator[list[Running]]:
    """All contestants, each warm and held to the first `cores` cores.

    One that is not needed and does not start is left out aloud.
    """
    cores = ",".join(str(core) for core in range(case["cores"]))
    with ExitStack() as stack:
        running = []
        for contestant in contestants:
            process = stack.enter_context(Running(contestant, case, ["taskset", "-c", cores]))
            try:
                process.wait_until_ready()
            except RuntimeError as error:
                if contestant.is_needed:
                    raise
                print(f"left out: {error}", flush=True)
                continue
            running.append(process)
        yield running


def interleave(running: Sequence[Running], rounds: int, **request: Any) -> dict[str, list[Answer]]:
    """Answers by contestant: one round each in turn, so that all share one machine state."""
    answers: dict[str, list[Answer]] = {each.name: [] for each in running}
    for number in range(rounds):
        for each in running:
            answers[each.name].append(each.round(number=number, **request))
    return answers


def process_settings() -> dict[str, str]:
    """The same for everyone: the allocator keeps memory; compiled kernels are kept in a cache."""
    cache = ROOT / ".cache" / "torchinductor"
    return {**worker_environment({}), "TORCHINDUCTOR_CACHE_DIR": str(cache)}
