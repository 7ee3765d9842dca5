"""What a server lets out: nothing that could be lost with it, unless the coordinator says so."""

import numpy as np
import pytest

from services.training.engine import FitConfig, OptimizerConfig
from services.training.engine.ps.group import ServedGroup
from services.training.engine.ps.job import Job
from services.training.engine.ps.messages import Header, Kind, said
from services.training.engine.ps.states import divided, send_state
from services.training.models import MlpConfig, table
from tests.support.model_suite import HEADS, loss, random_rows

JOB = Job(
    MlpConfig(width=16, blocks=1).build(table(6), HEADS),
    loss,
    random_rows(table(6), 24, 0),
    FitConfig(batch_size=12, epochs=1, optimizer=OptimizerConfig(clip_norm=None)),
    3,
)


class Peer:
    """A connection that keeps what is sent."""

    def __init__(self):
        self.sent, self.is_dropped = [], False

    def send(self, header, body=b"", key=None):
        self.sent.append((header, memoryview(bytearray(body))))

    def drop(self):
        self.is_dropped = True

    def told(self):
        return [said(body)["type"] for header, body in self.sent if header.kind == Kind.CONTROL]

    def versions(self):
        return {header.step for header, _ in self.sent if header.kind == Kind.VALUES}


@pytest.fixture
def followed():
    """A group that has applied a step that its second server has not confirmed."""
    coordinator, worker, second = Peer(), Peer(), Peer()
    group = ServedGroup(JOB, coordinator, start=1)
    loader = Peer()
    for owner, kept in divided(JOB, JOB.start().state):
        send_state(loader, owner, kept)
    for message in loader.sent:
        group.load(*message)
    group.welcome(worker)
    group.replicate(0, second)
    vector = next(number for number, each in enumerate(JOB.vectors) if not each.is_state)
    size = JOB.vectors[vector].size
    body = memoryview(bytearray(np.ones(size, np.float32).tobytes()))
    group.add(Header(Kind.GRADIENT, vector=vector, size=size, body=len(body)), body)
    return group, coordinator, worker, second


def test_an_update_is_not_seen_before_the_second_server_has_it(followed):
    group, _, worker, second = followed
    (total,) = [header for header, _ in second.sent if header.kind == Kind.TOTAL]
    assert worker.versions() == {0}
    group.release(total._replace(kind=Kind.KEPT))
    assert worker.versions() == {0, 1}


def settled(coordinator):
    told = [said(body) for header, body in coordinator.sent if header.kind == Kind.CONTROL]
    return max((each["step"] for each in told if each["type"] == "settled"), default=0)


def give_gradients(group, vectors):
    for vector in vectors:
        size = JOB.vectors[vector].size
        body = memoryview(bytearray(np.ones(size, np.float32).tobytes()))
        group.add(Header(Kind.GRADIENT, vector=vector, size=size, body=len(body)), body)


def totals(second):
    return [header for header, _ in second.sent if header.kind == Kind.TOTAL]


def test_a_step_is_over_when_the_second_server_has_all_of_it(followed):
    group, coordinator, _, second = followed
    given = {header.vector for header in totals(second)}
    give_gradients(group, [n for n in range(len(JOB.vectors)) if n not in given])
    *early, last = totals(second)
    for total in early:
        group.release(total._replace(kind=Kind.KEPT))
    assert settled(coordinator) == 0
    group.release(last._replace(kind=Kind.KEPT))
    assert settled(coordinator) == 1


def test_without_a_second_server_a_step_is_over_when_it_is_applied(followed):
    group, coordinator, _, second = followed
    given = {header.vector for header in totals(second)}
    give_gradients(group, [n for n in range(len(JOB.vectors)) if n not in given])
    assert settled(coordinator) == 0
    group.part_from_second(0)
    assert settled(coordinator) == 1


def test_a_lost_second_server_alone_lets_nothing_out(followed):
    group, coordinator, worker, second = followed
    group.dismiss(second)
    assert coordinator.told()[-1] == "parted"
    assert worker.versions() == {0}
    group.part_from_second(0)
    assert worker.versions() == {0, 1}
    assert second.is_dropped


def test_a_new_second_server_gets_all_updates_which_may_then_be_seen(followed):
    group, _, worker, _ = followed
    other = Peer()
    group.replicate(0, other)
    assert worker.versions() == {0, 1}
    assert 1 in {header.step for header, _ in other.sent if header.kind == Kind.STATE}
