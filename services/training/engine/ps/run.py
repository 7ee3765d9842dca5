"""A whole training on threads of this process, for tests and for a look at a job."""

import threading
from collections.abc import Callable

from services.training.engine.layerwise import LayerPrograms
from services.training.engine.ps.arrivals import ExactArrivals
from services.training.engine.ps.coordinator import Coordinator, Outcome
from services.training.engine.ps.in_process import InProcessTransport
from services.training.engine.ps.job import Job
from services.training.engine.ps.server import Server
from services.training.engine.ps.transport import Transport
from services.training.engine.ps.worker import Worker
from services.training.engine.step import TrainState

GROUP = "all"


def train_in_threads(
    job: Job,
    state: TrainState,
    *,
    workers: int,
    servers: int,
    programs: LayerPrograms | None = None,
    transport: Callable[[], Transport] = InProcessTransport,
) -> Outcome:
    """Train from a state to the end with so many workers and servers.

    Args:
        programs: The job's programs where they are compiled already.
    """
    shared = programs or LayerPrograms(job.layers, job.objective, job.config.precision)
    network = transport()
    try:
        addresses = []
        for number in range(servers):
            server = Server()
            server.open(GROUP, job)
            addresses.append(network.listen(f"server-{number}", server))
        coordinator = Coordinator(GROUP, job, workers)
        front = network.listen("coordinator", coordinator)
        owners = range(job.sharing.owners)
        threads = []
        for _ in range(workers):
            worker = Worker(job, shared, ExactArrivals(job))
            connections = [network.connect(address, worker) for address in addresses]
            worker.join(
                GROUP,
                network.connect(front, worker),
                {owner: connections[owner % servers] for owner in owners},
            )
            threads.append(threading.Thread(target=worker.run, name="worker"))
        for thread in threads:
            thread.start()
        links = [network.connect(address, coordinator) for address in addresses]
        outcome = coordinator.run(state, {owner: links[owner % servers] for owner in owners})
        for thread in threads:
            thread.join()
        return outcome
    finally:
        network.close()
