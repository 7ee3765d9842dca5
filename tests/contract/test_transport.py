"""Every transport of the parameter servers keeps the same promises."""

import threading

import numpy as np
import pytest

from services.training.engine.ps.in_process import InProcessTransport
from services.training.engine.ps.messages import Header, Kind, control, said
from services.training.engine.ps.near import NearTransport
from services.training.engine.ps.sockets import SocketTransport
from shared.errors import UnavailableError

FORMS = {
    "in process": (InProcessTransport, "127.0.0.1:0"),
    "sockets": (SocketTransport, "127.0.0.1:0"),
    "near": (lambda limit=1 << 26: NearTransport(SocketTransport(limit), limit), "127.0.0.1:0"),
}
PATIENCE = 20


class Node:
    """Keeps what arrives; can be made to wait before it takes more."""

    def __init__(self):
        self.messages, self.errors = [], []
        self.changed = threading.Condition()
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.connection = None

    def room(self, header):
        return None if header.kind == Kind.CONTROL else memoryview(bytearray(header.body))

    def received(self, connection, header, body):
        with self.changed:
            self.connection = connection
            self.messages.append((header, bytes(body)))
            self.changed.notify_all()
        self.may_go_on.wait(PATIENCE)
        if header.kind == Kind.CONTROL and said(body)["type"] == "break":
            raise RuntimeError("broken")

    def lost(self, connection, error):
        with self.changed:
            self.errors.append(error)
            self.changed.notify_all()

    def wait(self, is_true):
        with self.changed:
            assert self.changed.wait_for(lambda: is_true(self), PATIENCE)


@pytest.fixture(params=sorted(FORMS))
def form(request):
    return FORMS[request.param]


@pytest.fixture
def transport(form):
    opened = form[0]()
    yield opened
    opened.close()


@pytest.fixture
def pair(transport, form):
    """(sender, its connection, receiving node)."""
    far, near = Node(), Node()
    connection = transport.connect(transport.listen(form[1], far), near)
    return near, connection, far


def numbered(number, priority=1, body=b""):
    return Header(Kind.GRADIENT, start=number, priority=priority, body=len(body)), body


def test_a_message_arrives_as_it_was_sent_and_can_be_answered(pair):
    near, connection, far = pair
    numbers = np.arange(1 << 20, dtype=np.float32)
    header = Header(Kind.VALUES, 1, 2, 3, 4, 5, 6, 7, 8, 0.5, numbers.nbytes)
    connection.send(header, memoryview(numbers).cast("B"))
    far.wait(lambda node: node.messages)
    assert far.messages == [(header, numbers.tobytes())]
    far.connection.send(*control("heard", by="far"))
    near.wait(lambda node: node.messages)
    assert said(near.messages[0][1]) == {"type": "heard", "by": "far"}


def test_messages_of_one_priority_keep_their_order(pair):
    _, connection, far = pair
    for number in range(200):
        connection.send(*numbered(number, body=bytes(number)))
    far.wait(lambda node: len(node.messages) == 200)
    assert [header.start for header, _ in far.messages] == list(range(200))
    assert [len(body) for _, body in far.messages] == list(range(200))


def test_messages_of_several_senders_do_not_mix(pair):
    _, connection, far = pair

    def send(sender):
        for number in range(30):
            body = bytes([sender]) * (number * 40_000)
            connection.send(
                Header(Kind.GRADIENT, vector=sender, start=number, body=len(body)), body
            )

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    far.wait(lambda node: len(node.messages) == 120)
    for sender in range(4):
        mine = [(header.start, body) for header, body in far.messages if header.vector == sender]
        assert mine == [(number, bytes([sender]) * (number * 40_000)) for number in range(30)]


def congested(connection, far):
    """Fill whatever lies between until messages wait on our side."""
    far.may_go_on.clear()
    connection.send(*numbered(0))
    far.wait(lambda node: node.messages)
    block = bytes(1 << 20)
    for number in range(1, 17):
        connection.send(*numbered(number, body=block))
    return 16


def test_an_urgent_message_overtakes_what_waits(pair):
    _, connection, far = pair
    waiting = congested(connection, far)
    connection.send(*numbered(99, priority=0))
    far.may_go_on.set()
    far.wait(lambda node: len(node.messages) == waiting + 2)
    order = [header.start for header, _ in far.messages]
    assert order.index(99) < len(order) - 1


def test_newer_values_take_the_place_of_older_ones_that_wait(pair):
    _, connection, far = pair
    waiting = congested(connection, far)
    for version in range(5):
        connection.send(Header(Kind.VALUES, priority=1, step=version), b"", "key")
    connection.send(Header(Kind.VALUES, priority=2, step=99), b"", "other")
    far.may_go_on.set()
    far.wait(lambda node: node.messages[-1][0].step == 99)
    values = [header.step for header, _ in far.messages if header.kind == Kind.VALUES]
    assert values == [4, 99]
    assert len(far.messages) == 1 + waiting + 2


def test_a_sender_waits_while_too_much_is_on_its_way(form):
    transport = form[0](1 << 20)
    far, near = Node(), Node()
    connection = transport.connect(transport.listen(form[1], far), near)
    far.may_go_on.clear()
    sent = []

    def send():
        for number in range(64):
            connection.send(*numbered(number, body=bytes(1 << 20)))
            sent.append(number)

    thread = threading.Thread(target=send)
    thread.start()
    far.wait(lambda node: node.messages)
    thread.join(0.2)
    assert thread.is_alive()
    assert len(sent) < 64
    connection.send(Header(Kind.VALUES), b"", "never waits")
    far.may_go_on.set()
    thread.join(PATIENCE)
    assert len(sent) == 64
    transport.close()


def test_what_was_handed_over_before_closing_arrives(pair):
    _, connection, far = pair
    for number in range(50):
        connection.send(*numbered(number, body=bytes(1000)))
    connection.close()
    far.wait(lambda node: node.errors)
    assert len(far.messages) == 50
    assert far.errors == [None]


def test_both_sides_learn_of_the_end_once_and_sending_is_then_in_vain(pair):
    near, connection, far = pair
    connection.send(*numbered(0))
    far.wait(lambda node: node.messages)
    far.connection.close()
    near.wait(lambda node: node.errors)
    far.wait(lambda node: node.errors)
    connection.send(*numbered(1))
    assert (near.errors, far.errors) == ([None], [None])
    assert len(far.messages) == 1


def test_a_receiver_that_fails_is_told_its_error_and_the_peer_that_it_is_gone(pair):
    near, connection, far = pair
    connection.send(*control("break"))
    near.wait(lambda node: node.errors)
    far.wait(lambda node: node.errors)
    assert near.errors == [None]
    assert [str(error) for error in far.errors] == ["broken"]


def test_an_address_where_nobody_listens_is_named(transport):
    with pytest.raises(UnavailableError, match="nobody listens at 127"):
        transport.connect("127.0.0.1:1", Node())
