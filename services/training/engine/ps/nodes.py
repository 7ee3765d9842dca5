"""How nodes come to a coordinator, which then tells them the job."""

import queue
from collections.abc import Callable, Sequence
from typing import Any

from services.training.engine.layerwise import LayerPrograms
from services.training.engine.ps.arrivals import ExactArrivals, LatestArrivals
from services.training.engine.ps.job import Build, Job
from services.training.engine.ps.messages import Header, control, said
from services.training.engine.ps.server import Server
from services.training.engine.ps.transport import Connection, Transport
from services.training.engine.ps.worker import Worker

Programs = Callable[[Job], LayerPrograms]


def compile_programs(job: Job) -> LayerPrograms:
    """The programs of a job's layers."""
    return LayerPrograms(job.layers, job.objective, job.config.precision)


class WorkerNode:
    """Joins a group and works for it until it is told to stop.

    Args:
        build: Makes the job that the coordinator orders.
        programs: The programs of a job; workers of one process may share them.
    """

    def __init__(
        self, transport: Transport, build: Build, programs: Programs = compile_programs
    ) -> None:
        self._transport, self._build, self._programs = transport, build, programs
        self._opened: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._worker: Worker | None = None

    def run(self, coordinator: str) -> None:
        """Work for the group whose coordinator listens there."""
        connection = self._transport.connect(coordinator, self)
        connection.send(*control("work"))
        order = self._opened.get()
        if order is None:
            return
        job = self._build(order["order"])
        is_exact = job.sharing.staleness == 0
        arrivals = ExactArrivals(job) if is_exact else LatestArrivals(job)
        worker = self._worker = Worker(job, self._programs(job), arrivals)
        addresses: dict[str, str] = order["owners"]
        servers = {
            address: self._transport.connect(address, worker)
            for address in sorted(set(addresses.values()))
        }
        owners = {int(owner): servers[address] for owner, address in addresses.items()}
        worker.join(order["group"], connection, owners)
        worker.run()

    def room(self, header: Header) -> memoryview:
        """Memory for what the coordinator says."""
        return memoryview(bytearray(header.body))

    def received(self, connection: Connection, header: Header, body: memoryview) -> None:
        """The order first, everything after it is for the worker."""
        if self._worker is None:
            self._opened.put(dict(said(body)))
        else:
            self._worker.received(connection, header, body)

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """Without a coordinator there is nothing to do."""
        if self._worker is None:
            self._opened.put(None)
        else:
            self._worker.lost(connection, error)


def serve(transport: Transport, build: Build, address: str, coordinators: Sequence[str]) -> None:
    """Keep parts for the groups of these coordinators until all of them have ended."""
    server = Server(build)
    bound = transport.listen(address, server)
    for each in coordinators:
        connection = transport.connect(each, server)
        server.enlist(connection)
        connection.send(*control("serve", address=bound))
    server.wait()
