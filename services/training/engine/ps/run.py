"""A whole training on threads of this process, for tests and for a look at a job."""

import threading
from collections.abc import Callable
from functools import partial

from services.training.engine.ps.coordinator import Coordinator
from services.training.engine.ps.in_process import InProcessTransport
from services.training.engine.ps.job import Job, Order
from services.training.engine.ps.nodes import Programs, Surroundings, compile_programs, serve, work
from services.training.engine.ps.outcome import Crew, Outcome
from services.training.engine.ps.transport import Transport
from services.training.engine.standing import Standing, StandingStore

ANY = "127.0.0.1:0"


def train_in_threads(
    job: Job,
    start: Standing,
    crew: Crew,
    *,
    programs: Programs = compile_programs,
    checkpoints: StandingStore | None = None,
    transport: Callable[[], Transport] = InProcessTransport,
) -> Outcome:
    """Train to the end with so many workers and servers."""
    network = transport()
    coordinator = Coordinator("all", {}, job, crew, checkpoints)
    front = network.listen(ANY, coordinator)

    def build(_: Order) -> Job:
        return job

    surroundings = Surroundings(network, build, 0.0, programs)
    nodes = [
        *[partial(serve, surroundings, ANY, [front])] * crew.servers,
        *[partial(work, surroundings, front)] * crew.workers,
    ]
    threads = [threading.Thread(target=node, name="node") for node in nodes]
    try:
        for thread in threads:
            thread.start()
        outcome = coordinator.run(start)
        for thread in threads:
            thread.join()
        return outcome
    finally:
        network.close()
