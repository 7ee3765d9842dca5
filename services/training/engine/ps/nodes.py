"""How nodes come to a coordinator, are told the job, and come back to one that was restarted."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from services.training.engine.layerwise import LayerPrograms
from services.training.engine.ps.arrivals import ExactArrivals, LatestArrivals
from services.training.engine.ps.job import Build, Job, Order
from services.training.engine.ps.messages import Header, control, said
from services.training.engine.ps.server import Server
from services.training.engine.ps.transport import Connection, Receiver, Transport
from services.training.engine.ps.worker import Worker
from shared.errors import UnavailableError

Programs = Callable[[Job], LayerPrograms]

BEAT_SECONDS = 1.0
_REDIAL_SECONDS = 0.2


def compile_programs(job: Job) -> LayerPrograms:
    """The programs of a job's stages."""
    return LayerPrograms(job.layers, job.objective, job.config.precision, job.stages)


@dataclass(frozen=True)
class Surroundings:
    """What a node needs beside its role.

    Args:
        build: Makes the job that a coordinator orders.
        patience_seconds: How long to look for a coordinator that cannot be reached.
        programs: The programs of a job; workers of one process may share them.
    """

    transport: Transport
    build: Build
    patience_seconds: float = 60.0
    programs: Programs = compile_programs

    def dial(self, address: str, receiver: Receiver) -> Connection | None:
        """A connection to that coordinator; None when patience is over."""
        until = time.monotonic() + self.patience_seconds
        while True:
            try:
                return self.transport.connect(address, receiver)
            except UnavailableError:
                if time.monotonic() >= until:
                    return None
                time.sleep(_REDIAL_SECONDS)


def serve(surroundings: Surroundings, address: str, coordinators: Sequence[str]) -> None:
    """Keep parts for the groups of these coordinators until all of them have ended."""
    server = Server(surroundings.transport, surroundings.build)
    bound = surroundings.transport.listen(address, server)
    attending = [
        threading.Thread(target=_attend, args=(surroundings, server, bound, each), name="attend")
        for each in coordinators
    ]
    for thread in attending:
        thread.start()
    for thread in attending:
        thread.join()
    if server.error is not None:
        raise server.error


def work(surroundings: Surroundings, coordinator: str) -> None:
    """Compute for the group of that coordinator until it has ended."""
    known: dict[str, tuple[Job, LayerPrograms]] = {}
    is_over = False
    while not is_over:
        node = _WorkerNode(surroundings, known)
        connection = surroundings.dial(coordinator, node)
        if connection is None:
            return
        with _beating(connection):
            is_over = node.run(connection)


def _attend(surroundings: Surroundings, server: Server, bound: str, coordinator: str) -> None:
    is_over = False
    while not is_over:
        connection = surroundings.dial(coordinator, server)
        if connection is None:
            return
        ended: queue.Queue[bool] = queue.Queue()
        server.attend(connection, ended.put)
        connection.send(*control("serve", address=bound))
        with _beating(connection):
            is_over = ended.get()


class _WorkerNode:
    """One worker's membership of a group, from joining until it has no coordinator."""

    def __init__(
        self, surroundings: Surroundings, known: dict[str, tuple[Job, LayerPrograms]]
    ) -> None:
        self._surroundings, self._known = surroundings, known
        self._opened: queue.Queue[Mapping[str, Any] | None] = queue.Queue()
        self._worker: Worker | None = None
        self._is_lost = False

    def run(self, connection: Connection) -> bool:
        """Join and compute; False when the coordinator was lost."""
        connection.send(*control("work"))
        message = self._opened.get()
        if message is None:
            return False
        job, programs = self._job(message["order"])
        is_exact = job.sharing.staleness == 0
        arrivals = ExactArrivals(job) if is_exact else LatestArrivals(job)
        self._worker = Worker(
            message["group"], job, programs, arrivals, self._surroundings.transport
        )
        self._worker.join(connection, message["owners"])
        if self._is_lost:  # before there was a worker to be told
            self._worker.lost(connection, None)
        return self._worker.run()

    def room(self, header: Header) -> memoryview:
        """Memory for what the coordinator says."""
        return memoryview(bytearray(header.body))

    def received(self, connection: Connection, header: Header, body: memoryview) -> None:
        """The order first, everything after it is for the worker."""
        if self._worker is None:
            self._opened.put(said(body))
        else:
            self._worker.received(connection, header, body)

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """Without a coordinator there is nothing to do."""
        self._is_lost = True
        self._opened.put(None)
        if self._worker is not None:
            self._worker.lost(connection, error)

    def _job(self, order: Order) -> tuple[Job, LayerPrograms]:
        """The job and its programs, compiled once however often the coordinator changes."""
        key = repr(order)
        if key not in self._known:
            job = self._surroundings.build(order)
            self._known[key] = (job, self._surroundings.programs(job))
        return self._known[key]


@contextmanager
def _beating(connection: Connection) -> Iterator[None]:
    """Let the coordinator hear from this node all the time."""
    is_over = threading.Event()

    def beat() -> None:
        while not is_over.wait(BEAT_SECONDS):
            connection.send(*control("beat"))

    thread = threading.Thread(target=beat, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
