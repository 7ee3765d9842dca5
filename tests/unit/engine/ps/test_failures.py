"""Nodes are lost at any moment of a step; training ends with the bits of the unkilled run."""

import threading

import jax
import numpy as np
import pytest

from services.training.engine import FitConfig, OptimizerConfig
from services.training.engine.layerwise import LayerPrograms
from services.training.engine.ps.coordinator import Coordinator
from services.training.engine.ps.in_process import InProcessTransport
from services.training.engine.ps.job import Job, Sharing
from services.training.engine.ps.nodes import Attendance
from services.training.engine.ps.outcome import Crew
from services.training.engine.ps.run import train_in_threads
from services.training.engine.ps.schedule import Schedule
from services.training.engine.ps.server import Server
from services.training.models import MlpConfig, table
from tests.support.model_suite import HEADS, loss, random_rows
from tests.support.reference_training import reference

LAYERS = MlpConfig(width=16, blocks=1, dropout=0.2).build(table(6), HEADS)
CONFIG = FitConfig(
    batch_size=12,
    micro_batches=3,
    epochs=4,
    mode="lean",  # every layer has programs of its own, so there are more moments to be lost at
    optimizer=OptimizerConfig(clip_norm=None),
)


def job(**sharing):
    rows = random_rows(table(6), 36, 0)
    return Job(LAYERS, loss, rows, CONFIG, 5, Sharing(schedule=Schedule("prio", 1024), **sharing))


class Network:
    """The in-process transport, whose nodes can be cut off as if they had been killed."""

    def __init__(self):
        self._inner = InProcessTransport()
        self._listeners, self._made = {}, []

    def listen(self, address, receiver):
        bound = self._inner.listen(address, receiver)
        self._listeners[bound] = receiver
        return bound

    def connect(self, address, receiver):
        connection = self._inner.connect(address, receiver)
        self._made.append((address, receiver, connection))
        return connection

    def close(self):
        self._inner.close()

    def cut_off_server(self, number):
        """Break all connections of a server; it then comes back, knowing nothing."""
        servers = [a for a, receiver in self._listeners.items() if isinstance(receiver, Server)]
        address = servers[number % len(servers)]
        for to, receiver, connection in list(self._made):
            if to == address or _node(receiver) is self._listeners[address]:
                connection.drop()

    def cut_off_worker(self, number):
        """Break a worker's connection to the coordinator: it gives up and another one comes."""
        (front,) = [
            a for a, receiver in self._listeners.items() if isinstance(receiver, Coordinator)
        ]
        workers = [
            connection
            for to, receiver, connection in self._made
            if to == front and not isinstance(_node(receiver), Server)
        ]
        workers[-1 - number % 2].drop()


def _node(receiver):
    return receiver.server if isinstance(receiver, Attendance) else receiver


class Sabotage:
    """Does something at the n-th call of a layer's program, in a thread of its own."""

    def __init__(self, calls, act):
        self._calls, self._act = set(calls), act
        self.has_acted = False
        self._count, self._lock = 0, threading.Lock()

    def wrap(self, _number, _kind, program):
        def run(*arguments):
            with self._lock:
                self._count += 1
                is_due = self._count in self._calls
            if is_due:
                self.has_acted = True
                threading.Thread(target=self._act).start()
            return program(*arguments)

        return run


@pytest.fixture(scope="module")
def expected():
    return reference(job())


CALLS = 2 * len(LAYERS) * CONFIG.micro_batches * job().total_steps


def train_with_losses(of, calls, act):
    network = Network()
    sabotage = Sabotage(calls, lambda: act(network))
    programs = LayerPrograms(LAYERS, loss, "float32", wrap=sabotage.wrap)
    outcome = train_in_threads(
        of, of.start(), Crew(2, 3), programs=lambda _: programs, transport=lambda: network
    )
    assert sabotage.has_acted
    return outcome


def assert_unharmed(outcome, expected):
    state, losses = expected
    for one, other in zip(jax.tree.leaves(outcome.state), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(np.asarray(one), other)
    assert list(outcome.losses) == losses


@pytest.mark.parametrize("seed", range(10))
def test_a_lost_workers_micro_batches_are_computed_by_others(expected, seed):
    moment = np.random.default_rng(seed).integers(1, CALLS, 2)
    outcome = train_with_losses(job(owners=3), moment, lambda net: net.cut_off_worker(seed))
    assert_unharmed(outcome, expected)


@pytest.mark.parametrize("seed", range(10))
def test_a_lost_servers_part_is_kept_on_a_second_one(expected, seed):
    moment = np.random.default_rng(seed).integers(1, CALLS, 1)
    outcome = train_with_losses(job(owners=3), moment, lambda net: net.cut_off_server(seed))
    assert_unharmed(outcome, expected)


@pytest.mark.parametrize("seed", range(3))
def test_without_a_second_server_training_goes_back_to_where_it_can(expected, seed):
    moment = np.random.default_rng(seed).integers(1, CALLS, 1)
    of = job(owners=3, has_seconds=False)
    outcome = train_with_losses(of, moment, lambda net: net.cut_off_server(seed))
    assert_unharmed(outcome, expected)
