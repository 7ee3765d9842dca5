"""Trains by parameter servers: a process a node, replaced when it is lost."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.training.adapters.carriers import Carrier, Node, ThisMachine
from services.training.adapters.places import Places
from services.training.adapters.processes import Hear, Message, NodeProcess
from services.training.runs.files import write_whole

SILENCE_SECONDS = 15.0

_POLL_SECONDS = 0.2
_COORDINATOR = "the coordinator"


@dataclass(frozen=True)
class Nodes:
    """How many processes share the work of a run.

    Args:
        workers: That compute, in each group.
        servers: That keep parameters, for all groups.
        groups: That carry out a fit each at the same time.
    """

    workers: int
    servers: int
    groups: int = 1

    @property
    def count(self) -> int:
        """All at the same time, coordinators aside."""
        own = len(self.roles()) * self.groups
        return own + self.servers if self.groups > 1 else own

    def roles(self) -> list[str]:
        """What each process of a group is besides the coordinator.

        A server is a worker too where it can be. Servers that several groups share are of none,
        so that what happens to a worker happens to its group alone.

        >>> Nodes(workers=3, servers=2).roles()
        ['both', 'both', 'worker']
        >>> Nodes(workers=1, servers=2, groups=2).roles()
        ['worker']
        """
        if self.groups > 1:
            return ["worker"] * self.workers
        both = min(self.workers, self.servers)
        spare = ["worker"] * (self.workers - both) + ["server"] * (self.servers - both)
        return ["both"] * both + spare


class SharedServers:
    """Servers that outlive the fits of several groups; for several threads.

    Args:
        folder: For the log.
        count: How many.
        silence_seconds: A server that says nothing for so long is lost.
        carrier: Starts them.
    """

    def __init__(
        self,
        folder: Path,
        count: int,
        silence_seconds: float = SILENCE_SECONDS,
        carrier: Carrier | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._carrier = carrier or ThisMachine()
        self._log = folder / "servers.txt"
        self._coordinators: list[str] = []
        self._lock = threading.Lock()
        self._places = Places(self._start, self._log, silence_seconds)
        self._cores = {f"server {number + 1}": number for number in range(count)}
        for place in self._cores:
            self._places.open(place)

    def announce(self, coordinator: str) -> None:
        """Have all servers serve the group of the coordinator at that address."""
        with self._lock:
            if coordinator not in self._coordinators:
                self._coordinators.append(coordinator)
            self._places.tell(coordinator)

    def leave(self, coordinator: str) -> None:
        """That group has ended."""
        with self._lock:
            if coordinator in self._coordinators:
                self._coordinators.remove(coordinator)

    def look(self) -> None:
        """Replace who was lost.

        Raises:
            UnavailableError: A server gave up by itself, or is lost again and again.
        """
        with self._lock:
            self._places.look()

    def close(self) -> None:
        """End them."""
        with self._lock:
            self._places.close()

    def _start(self, place: str, hear: Hear) -> Node:
        arguments = ["--role", "server", "--tied", "--coordinator", "-"]
        server = self._carrier.start(arguments, self._cores[place], self._log, hear)
        for coordinator in self._coordinators:
            server.tell(coordinator)
        return server


class NodeGroup:
    """One fit by a coordinator, which is a process here, and its nodes.

    Args:
        folder: For the order, checkpoints, the log and what comes out.
        nodes: How many processes.
        servers: Those that the group shares with others; it has its own when None.
        number: Of the group among those that train at the same time.
        silence_seconds: A node that says nothing for so long is lost.
        save_seconds: From one checkpoint to the next.
        carrier: Starts the nodes.
    """

    def __init__(
        self,
        folder: Path,
        nodes: Nodes,
        servers: SharedServers | None = None,
        number: int = 0,
        *,
        silence_seconds: float = SILENCE_SECONDS,
        save_seconds: float,
        carrier: Carrier | None = None,
    ) -> None:
        self._folder, self._nodes, self._servers = folder, nodes, servers
        self._silence_seconds, self._save_seconds = silence_seconds, save_seconds
        roles = nodes.roles()
        self._roles = {f"node {at + 1} ({role})": role for at, role in enumerate(roles)}
        first = number * len(roles)
        self._cores = {place: first + at for at, place in enumerate(self._roles)}
        self._places = Places(self._start, folder / "log.txt", silence_seconds)
        self._carrier = carrier or ThisMachine()
        self._address = f"{self._carrier.host}:0"

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
        try:
            self._places.open(_COORDINATOR)  # first, for the others need it
            while not self._places.has_ended(_COORDINATOR):
                for place, message in self._places.look(_POLL_SECONDS):
                    self._hear(place, message, on_message)
                if self._servers is not None:
                    self._servers.look()
            for place, message in self._places.end():
                self._hear(place, message, on_message)
        finally:
            if self._servers is not None:
                self._servers.leave(self._address)
            self._places.close()

    def _hear(self, place: str, message: Message, on_message: Callable[[Message], None]) -> None:
        if place != _COORDINATOR:
            return
        if "listening" not in message:
            on_message(message)
            return
        self._address = message["listening"]
        if self._servers is not None:
            self._servers.announce(self._address)
        for other in self._roles:
            if other not in self._places:
                self._places.open(other)

    def _start(self, place: str, hear: Hear) -> Node:
        log = self._folder / "log.txt"
        if place in self._roles:
            arguments = [
                # It has nobody else to look for, and is ended with this process.
                *("--tied", "--role", self._roles[place], "--coordinator", self._address),
                *("--patience", "inf"),
            ]
            return self._carrier.start(arguments, self._cores[place], log, hear)
        arguments = [
            *("--tied", "--role", "coordinator", "--listen", self._address),
            *("--order", str(self._folder / "order.json"), "--out", str(self.result_path)),
            *("--workers", str(self._nodes.workers), "--servers", str(self._nodes.servers)),
            *("--checkpoints", str(self._folder / "kept"), "--every", str(self._save_seconds)),
            *("--silence", str(self._silence_seconds), "--group", self._folder.name),
        ]
        return NodeProcess(arguments, None, log, hear)
