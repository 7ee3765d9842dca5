"""Nodes of training groups as actors of a Ray cluster, which the extra `ray` brings."""

import os
import queue
import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from services.training.adapters.processes import Hear, Message, NodeProcess
from shared.errors import FailedPreconditionError

_WAIT_SECONDS = 0.5
_PASSED_ON = ("JAX_", "MALLOC_", "OMP_", "OPENBLAS_", "ORIEL_", "PYTHONHASHSEED", "TF_", "XLA_")
"""How variables begin that decide how a node computes."""


class RayNodes:
    """Carries nodes by actors, each with a processor of its own, on the machines of a cluster.

    The cluster is that of RAY_ADDRESS, or one of this machine alone that ends with the run.

    Args:
        count: Of nodes at the same time.

    Raises:
        FailedPreconditionError: Ray is not installed, or the cluster has too few processors.
    """

    def __init__(self, count: int) -> None:
        try:
            import ray
        except ImportError as error:
            raise FailedPreconditionError(
                "placing nodes on a Ray cluster needs Ray; install it with "
                "`pip install oriel[ray]`, or leave --placement out",
                reason="RAY_NOT_INSTALLED",
            ) from error
        self._ray: Any = ray
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        address = os.environ.get("RAY_ADDRESS", "local")
        # A cluster for this run alone takes as many nodes as there are; others have processors.
        more = {"num_cpus": count, "include_dashboard": False} if address == "local" else {}
        self._ray.init(address, log_to_driver=False, configure_logging=False, **more)
        found = int(self._ray.cluster_resources().get("CPU", 0))
        if found < count:
            self._ray.shutdown()
            raise FailedPreconditionError(
                f"the Ray cluster at {address} has {found} processors, and the run asks for "
                f"{count} nodes; ask for fewer workers, servers or groups",
                reason="RAY_CLUSTER_TOO_SMALL",
                address=address,
                processors=found,
                nodes=count,
            )

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the cluster."""
        self._ray.shutdown()

    @property
    def host(self) -> str:
        """Loopback where the cluster is this machine, else this machine's address in it."""
        return _host(self._ray)

    def start(self, arguments: Sequence[str], core: int, log: Path, hear: Hear) -> "RayNode":
        """A node by an actor; Ray chooses where."""
        del core
        return RayNode(self._ray, arguments, log, hear)


class RayNode:
    """One node by an actor; it ends when the actor does, or the process that started that."""

    def __init__(self, ray: Any, arguments: Sequence[str], log: Path, hear: Hear) -> None:
        self._ray, self._hear = ray, hear
        passed_on = {k: v for k, v in os.environ.items() if k.startswith(_PASSED_ON)}
        self._actor = ray.remote(num_cpus=1)(_Host).remote(list(arguments), str(log), passed_on)
        self._code: int | None = None
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()

    def poll(self) -> int | None:
        """Its exit code, negative if it was killed, or its actor; None while it runs."""
        return self._code

    def tell(self, line: str) -> None:
        """Write a line to its stdin; nothing happens if it has ended."""
        self._actor.tell.remote(line)

    def kill(self) -> None:
        """End it and its actor."""
        self._ray.kill(self._actor)

    def wait(self, seconds: float) -> None:
        """Give it that long to end by itself."""
        self._follower.join(seconds)

    def part(self) -> None:
        """Leave nothing of it behind."""
        self.kill()
        self._follower.join()

    def _follow(self) -> None:
        code: int | None = None
        try:
            while code is None:
                messages, code = self._ray.get(self._actor.listen.remote())
                for message in messages:
                    self._hear(message)
        except self._ray.exceptions.RayActorError:
            code = -signal.SIGKILL
        self._code = code


class _Host:
    """The actor: a node as a process of its own on the machine where the actor is."""

    def __init__(self, arguments: list[str], log: str, environment: Mapping[str, str]) -> None:
        import ray

        os.environ.update(environment)
        self._said: queue.Queue[Message] = queue.Queue()
        listen = ["--listen", f"{_host(ray)}:0"]
        self._node = NodeProcess([*arguments, *listen], None, Path(log), self._said.put)

    def tell(self, line: str) -> None:
        """Pass it on."""
        self._node.tell(line)

    def listen(self) -> tuple[list[Message], int | None]:
        """What the node has said since, soon, and its exit code once it has said all."""
        code = self._node.poll()
        if code is not None:
            self._node.part()
        messages = []
        try:
            messages.append(self._said.get(timeout=0.0 if code is not None else _WAIT_SECONDS))
            while True:
                messages.append(self._said.get_nowait())
        except queue.Empty:
            return messages, code


def _host(ray: Any) -> str:
    is_alone = sum(node["Alive"] for node in ray.nodes()) == 1
    return "127.0.0.1" if is_alone else str(ray.util.get_node_ip_address())
