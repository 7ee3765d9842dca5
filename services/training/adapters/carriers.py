"""Who carries the nodes of training groups: this machine itself, or what stands in for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from services.training.adapters.processes import Hear, NodeProcess


class Node(Protocol):
    """One node, wherever it runs."""

    def poll(self) -> int | None:
        """Its exit code, negative if it was killed; None while it runs."""
        ...

    def tell(self, line: str) -> None:
        """Write a line to its stdin; nothing happens if it has ended."""
        ...

    def kill(self) -> None:
        """End it, also when it is stopped."""
        ...

    def wait(self, seconds: float) -> None:
        """Give it that long to end by itself."""
        ...

    def part(self) -> None:
        """Leave nothing of it behind."""
        ...


class Carrier(Protocol):
    """Starts nodes."""

    @property
    def host(self) -> str:
        """Where nodes can reach what listens on this machine."""
        ...

    def start(self, arguments: Sequence[str], core: int, log: Path, hear: Hear) -> Node:
        """A node with these arguments, kept to one core of its own if there are so many.

        Args:
            core: Its number among all nodes of the run.
            log: File that its errors are added to.
            hear: Called by a thread with each message that it prints.
        """
        ...


class ThisMachine:
    """Carries every node as a process on loopback."""

    host = "127.0.0.1"

    def start(self, arguments: Sequence[str], core: int, log: Path, hear: Hear) -> NodeProcess:
        """A process."""
        return NodeProcess(arguments, core, log, hear)
