"""How nodes come to a coordinator, are told the job, and come back to one that was restarted."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from services.training.engine.layerwise import LayerPrograms
from services.training.engine.ps.arrivals import ExactArrivals, LatestArrivals
from services.training.engine.ps.job import Build, Job, Order
from services.training.engine.ps.messages import Header, Kind, control, said
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


def serve(surroundings: Surroundings, address: str, coordinators: Iterable[str]) -> None:
    """Keep parts for the groups of these coordinators until all of them have ended.

    Args:
        coordinators: Their addresses; may become known little by little. One that is named again
            is looked for again if it had been given up.
    """
    server = Server(surroundings.transport, surroundings.build)
    bound = surroundings.transport.listen(address, server)
    attending: dict[str, threading.Thread] = {}
    for each in coordinators:
        if each not in attending or not attending[each].is_alive():
            arguments = (surroundings, server, bound, each)
            attending[each] = threading.Thread(target=_attend, args=arguments, name="attend")
            attending[each].start()
    for thread in attending.values():
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
        attendance = Attendance(server)
        connection = surroundings.dial(coordinator, attendance)
        if connection is None:
            return
        connection.send(*control("serve", address=bound))
        with _beating(connection):
            is_over, error = attendance.ended.get()
        if error is not None:
            # The connection on which it came to light has broken.
            again = surroundings.dial(coordinator, server)
            if again is not None:
                again.send(*control("failed", error=repr(error)))


class Attendance:
    """What a server hears from a coordinator, from the first moment of a connection to its end.

    Attributes:
        ended: Gets whether training is over, and why if the server is at fault.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ended: queue.Queue[tuple[bool, Exception | None]] = queue.Queue()

    def room(self, header: Header) -> None:
        """Anywhere, as the server."""

    def received(self, connection: Connection, header: Header, body: memoryview) -> None:
        """As the server, unless it is the end."""
        self.server.received(connection, header, body)
        if header.kind == Kind.CONTROL and said(body)["type"] == "stop":
            self.ended.put((True, None))

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """The coordinator is gone, or the server could not do what it said."""
        self.server.lost(connection, error)
        self.ended.put((error is not None, error))


class _WorkerNode:
    """One worker's membership of a group, from joining until it has no coordinator."""

    def __init__(
        self, surroundings: Surroundings, known: dict[str, tuple[Job, LayerPrograms]]
    ) -> None:
        self._surroundings, self._known = surroundings, known
        self._early: queue.Queue[tuple[Header, memoryview] | None] = queue.Queue()
        self._worker: Worker | None = None
        self._lock = threading.Lock()

    def run(self, connection: Connection) -> bool:
        """Join and compute; False when the coordinator was lost."""
        connection.send(*control("work"))
        first = self._early.get()
        if first is None:
            return False
        opening = said(first[1])
        if opening["type"] == "stop":
            return True
        job, programs = self._job(opening["order"])
        is_exact = job.sharing.staleness == 0
        arrivals = ExactArrivals(job) if is_exact else LatestArrivals(job)
        worker = Worker(opening["group"], job, programs, arrivals, self._surroundings.transport)
        worker.join(connection, opening["owners"])
        with self._lock:
            self._worker = worker
            while not self._early.empty():  # what came while the job was made
                message = self._early.get()
                if message is None:
                    worker.lost(connection, None)
                else:
                    worker.received(connection, *message)
        return worker.run()

    def room(self, header: Header) -> None:
        """Anywhere for what the coordinator says."""

    def received(self, connection: Connection, header: Header, body: memoryview) -> None:
        """The order first, everything after it is for the worker."""
        with self._lock:
            if self._worker is None:
                self._early.put((header, body))
            else:
                self._worker.received(connection, header, body)

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """Without a coordinator there is nothing to do."""
        with self._lock:
            if self._worker is None:
                self._early.put(None)
            else:
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
