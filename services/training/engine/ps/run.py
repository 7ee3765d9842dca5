"""A whole training on threads of this process, for tests and for a look at a job."""

import threading
from collections.abc import Callable
from functools import partial

from services.training.engine.ps.coordinator import Coordinator, Crew, Outcome
from services.training.engine.ps.in_process import InProcessTransport
from services.training.engine.ps.job import Job, Order
from services.training.engine.ps.nodes import Programs, WorkerNode, compile_programs, serve
from services.training.engine.ps.transport import Transport
from services.training.engine.step import TrainState

ANY = "127.0.0.1:0"


def train_in_threads(
    job: Job,
    state: TrainState,
    crew: Crew,
    *,
    programs: Programs = compile_programs,
    transport: Callable[[], Transport] = InProcessTransport,
) -> Outcome:
    """Train from a state to the end with so many workers and servers."""
    network = transport()
    coordinator = Coordinator("all", {}, job, crew)
    front = network.listen(ANY, coordinator)

    def build(_: Order) -> Job:
        return job

    nodes = [
        *[partial(serve, network, build, ANY, [front])] * crew.servers,
        *(partial(WorkerNode(network, build, programs).run, front) for _ in range(crew.workers)),
    ]
    threads = [threading.Thread(target=node, name="node") for node in nodes]
    try:
        for thread in threads:
            thread.start()
        outcome = coordinator.run(state)
        for thread in threads:
            thread.join()
        return outcome
    finally:
        network.close()
