"""Groups of processes that train one network on several nodes, each started as a whole."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.network import Wire
from benchmarks.peer import environment
from benchmarks.training_rounds import Contestant, Running, process_settings


@dataclass(frozen=True)
class Node:
    """Where one process of a group runs.

    Args:
        core: The one core it is held to.
        address: Where the others reach it.
        at_host: Put before a command to run it at that address.
    """

    core: int
    address: str
    at_host: tuple[str, ...] = ()

    @property
    def prefix(self) -> list[str]:
        """Put before a command to run it here."""
        return [*self.at_host, "taskset", "-c", str(self.core)]


def on_loopback(count: int) -> list[Node]:
    """Nodes with a core each and no network between them."""
    return [Node(core, "127.0.0.1") for core in range(count)]


def on_wire(wire: Wire) -> list[Node]:
    """A node at each end of a wire, with a core each."""
    ends = enumerate(wire.hosts)
    return [Node(core, host.address, tuple(host.prefix)) for core, host in ends]


@contextmanager
def ours(nodes: Sequence[Node], case: Mapping[str, Any]) -> Iterator[Running]:
    """Our parameter servers: worker and server at each node, the coordinator at the first.

    `case` has the `order` and how many steps are `warm`-up; for a whole fit its `role` is "fit",
    and it has the `test` folder. `environment` is for all of them.
    """
    port = _free_ports(1)[0]
    meeting = f"{nodes[0].address}:{port}"
    first = {"role": "coordinator", **case, "listen": meeting, "nodes": len(nodes)}
    same = {"coordinator": meeting, "environment": case.get("environment", {})}
    others = [{"role": "node", "listen": f"{node.address}:0", **same} for node in nodes]
    contestant = Contestant("ours", "ps", [sys.executable, "-m", "benchmarks.distributed_ours"])
    with _group(contestant, [nodes[0], *nodes], [first, *others]) as running:
        yield running


@contextmanager
def ddp(nodes: Sequence[Node], case: Mapping[str, Any]) -> Iterator[Running]:
    """PyTorch DDP; `case` has `network` and `batch`, a round may name its `way`."""
    meeting = {"world": len(nodes), "address": nodes[0].address, "port": _free_ports(1)[0]}
    cases = [{**case, **meeting, "rank": rank, "cores": 1} for rank in range(len(nodes))]
    with _group(Contestant("torch", "ddp", _script("torch", "ddp")), nodes, cases) as running:
        yield running


@contextmanager
def multi_worker_mirrored(nodes: Sequence[Node], case: Mapping[str, Any]) -> Iterator[Running]:
    """TensorFlow's synchronous strategy; `case` has `way` and `batch`."""
    hosts = _reachable(nodes)
    cases = [{**case, "hosts": hosts, "rank": rank, "cores": 1} for rank in range(len(nodes))]
    contestant = Contestant("tensorflow", "mwms", _script("tensorflow", "mwms"))
    with _group(contestant, nodes, cases) as running:
        yield running


@contextmanager
def parameter_servers(
    nodes: Sequence[Node], case: Mapping[str, Any], servers: int = 2
) -> Iterator[Running]:
    """TensorFlow's asynchronous strategy: a worker at each node, servers beside the first ones.

    The coordinator is at the first node. `case` has `way` and `batch`.
    """
    places = [nodes[0], *nodes, *nodes[:servers]]
    hosts = _reachable(places)
    workers = hosts[1 : len(nodes) + 1]
    tasks = {"chief": hosts[:1], "worker": workers, "ps": hosts[len(nodes) + 1 :]}
    cases = [
        {**case, "hosts": tasks, "task": task, "index": index, "cores": 1}
        for task, addresses in tasks.items()
        for index in range(len(addresses))
    ]
    contestant = Contestant("tensorflow", "ps", _script("tensorflow", "parameter_server"))
    with _group(contestant, places, cases) as running:
        yield running


@contextmanager
def _group(
    contestant: Contestant, nodes: Sequence[Node], cases: Sequence[Mapping[str, Any]]
) -> Iterator[Running]:
    """The first process is spoken to; the others follow it and end with it."""
    with ExitStack() as stack:
        for node, case in list(zip(nodes, cases, strict=True))[1:]:
            command = [*node.prefix, *contestant.command, json.dumps(case)]
            stack.callback(_end, _start(command))
        running = stack.enter_context(Running(contestant, cases[0], nodes[0].prefix))
        running.wait_until_ready()
        yield running


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    settings = {**os.environ, **process_settings()}
    # A pipe that is never written to: it closes when this process ends, however it ends.
    return subprocess.Popen(
        command, cwd=ROOT, env=settings, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _script(peer: str, name: str) -> list[str]:
    return [str(environment(peer)), str(ROOT / "benchmarks" / "peers" / peer / f"{name}.py")]


def _reachable(nodes: Sequence[Node]) -> list[str]:
    ports = _free_ports(len(nodes))
    return [f"{node.address}:{port}" for node, port in zip(nodes, ports, strict=True)]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in free]
