"""Groups with jobs of their own share servers, and do not touch each other."""

import threading
from functools import partial

import jax
import numpy as np

from services.training.engine import FitConfig, OptimizerConfig
from services.training.engine.layerwise import LayerPrograms
from services.training.engine.ps.coordinator import Coordinator, Crew
from services.training.engine.ps.in_process import InProcessTransport
from services.training.engine.ps.job import Job, Sharing
from services.training.engine.ps.nodes import Surroundings, serve, work
from services.training.engine.stages import stages_of
from services.training.models import MlpConfig, table
from tests.support.model_suite import HEADS, loss, random_rows
from tests.support.reference_training import reference

ANY = "127.0.0.1:0"
LAYERS = MlpConfig(width=16, blocks=1).build(table(6), HEADS)
PROGRAMS = LayerPrograms(LAYERS, loss, "float32", stages_of(LAYERS))


def job(seed, epochs):
    config = FitConfig(
        batch_size=12, micro_batches=2, epochs=epochs, optimizer=OptimizerConfig(clip_norm=None)
    )
    return Job(LAYERS, loss, random_rows(table(6), 36, seed), config, seed, Sharing(owners=2))


def test_two_groups_on_the_same_servers_each_end_with_their_own_bits():
    jobs = {"left": job(1, epochs=2), "right": job(2, epochs=4)}
    network = InProcessTransport()
    surroundings = Surroundings(network, lambda order: jobs[order["name"]], 0.0, lambda _: PROGRAMS)
    coordinators = {
        name: Coordinator(name, {"name": name}, each, Crew(2, 2)) for name, each in jobs.items()
    }
    fronts = {name: network.listen(ANY, each) for name, each in coordinators.items()}
    nodes = [partial(serve, surroundings, ANY, list(fronts.values()))] * 2
    nodes += [partial(work, surroundings, front) for front in fronts.values()] * 2
    outcomes = {}

    def coordinate(name):
        outcomes[name] = coordinators[name].run(jobs[name].start())

    nodes += [partial(coordinate, name) for name in jobs]
    threads = [threading.Thread(target=node) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    network.close()
    for name, each in jobs.items():
        state, losses = reference(each)
        left, right = (jax.tree.leaves(tree) for tree in (outcomes[name].state, state))
        for one, other in zip(left, right, strict=True):
            np.testing.assert_array_equal(np.asarray(one), other)
        assert list(outcomes[name].losses) == losses
