"""The whole state is put together from what all servers have, also when one is lost meanwhile."""

import jax
import numpy as np

from services.training.engine import FitConfig
from services.training.engine.ps.collection import Collection
from services.training.engine.ps.job import Job, Sharing
from services.training.engine.ps.messages import said
from services.training.engine.ps.states import divided, send_state
from services.training.models import MlpConfig, table
from tests.support.model_suite import HEADS, loss, random_rows

JOB = Job(
    MlpConfig(width=16, blocks=1).build(table(6), HEADS),
    loss,
    random_rows(table(6), 24, 0),
    FitConfig(batch_size=12, epochs=1, mode="lean"),
    3,
    Sharing(owners=2),
)


class Peer:
    """A server's connection that keeps what is sent."""

    def __init__(self):
        self.sent = []

    def send(self, header, body=b"", key=None):
        self.sent.append((header, memoryview(bytearray(body))))


def answer(collection, owner, number):
    """What the server of an owner says to a question."""
    peer = Peer()
    for kept_by, kept in divided(JOB, JOB.start().state):
        if kept_by == owner:
            send_state(peer, owner, kept, number=number)
    for message in peer.sent:
        collection.take(*message)


def test_answers_to_a_question_that_was_asked_again_do_not_count():
    collection, servers = Collection(JOB), [Peer(), Peer()]
    collection.open(servers)
    answer(collection, 0, number=1)
    collection.repeat(servers)
    answer(collection, 1, number=1)
    assert not collection.is_whole
    for owner in (0, 1):
        assert not collection.is_whole
        answer(collection, owner, number=2)
    assert collection.is_whole
    start = JOB.start().state
    state = collection.close(start, 0)
    for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(start), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert [said(body)["number"] for _, body in servers[0].sent] == [1, 2]


def test_nobody_is_asked_again_when_the_state_is_not_wanted():
    collection, server = Collection(JOB), Peer()
    collection.repeat([server])
    assert server.sent == []
