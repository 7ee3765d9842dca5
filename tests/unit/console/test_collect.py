"""How requests of the same moment become few calls."""

import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager

import pytest

from services.console.usecases.collect import Bounds, Collector
from services.console.usecases.ports import Rejection
from shared.errors import ResourceExhaustedError, UnavailableError

MESSAGE = b"12345678"


class Store:
    """Remembers calls; refuses messages that say bad, and breaks on those that say poison."""

    def __init__(self):
        self.calls = []

    def ingest(self, messages, source):
        if b"away" in messages:
            raise UnavailableError("away", reason="AWAY")
        if b"poison" in messages:
            raise ValueError("a bug")
        self.calls.append((source, list(messages)))
        return [
            Rejection(place, "BAD", "f", "m")
            for place, message in enumerate(messages)
            if message == b"bad"
        ]


class SlowStore(Store):
    """Stores only when it is let."""

    def __init__(self):
        super().__init__()
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def ingest(self, messages, source):
        self.has_begun.set()
        self.may_end.wait(30)
        return super().ingest(messages, source)


@contextmanager
def collector_of(store, **bounds):
    collector = Collector(store, Bounds(**bounds))
    yield collector
    collector.close(10)


@contextmanager
def senders(collector, requests):
    """Send requests at the same time; yield their futures."""
    with ThreadPoolExecutor(len(requests)) as pool:
        yield [pool.submit(collector.store, messages, source) for messages, source in requests]


def together(store, requests):
    """Send requests so that all wait before the first call; return their futures."""
    size = sum(len(message) for messages, _ in requests for message in messages)
    with (
        collector_of(store, window_seconds=30, call_bytes=size) as collector,
        senders(collector, requests) as sent,
    ):
        wait(sent)
    return sent


def test_requests_that_wait_together_are_one_call_and_each_hears_of_its_own_messages():
    store = Store()
    requests = [([MESSAGE, b"bad"], "web"), ([MESSAGE], "web"), ([b"bad", MESSAGE], "web")]
    answers = [each.result() for each in together(store, requests)]
    assert len(store.calls) == 1
    assert len(store.calls[0][1]) == 5
    assert [[r.index for r in answer] for answer in answers] == [[1], [], [0]]


def test_a_call_has_one_source():
    store = Store()
    requests = [([MESSAGE], "web"), ([MESSAGE], "app"), ([MESSAGE], "web")]
    for each in together(store, requests):
        assert each.result() == []
    assert sorted((source, len(messages)) for source, messages in store.calls) == [
        ("app", 1),
        ("web", 2),
    ]


def test_a_call_has_no_more_messages_than_it_may():
    store = Store()
    with (
        collector_of(store, window_seconds=0, call_messages=3) as collector,
        senders(collector, [([MESSAGE] * 2, "web")] * 5) as sent,
    ):
        wait(sent)
    assert [len(messages) for _, messages in store.calls] == [2] * 5


def test_a_message_that_meets_a_bug_keeps_nobody_else_out():
    store = Store()
    requests = [([MESSAGE], "web"), ([b"poison"], "web"), ([b"bad"], "web")]
    good, poisoned, bad = together(store, requests)
    assert good.result() == []
    assert [each.index for each in bad.result()] == [0]
    with pytest.raises(ValueError, match="a bug"):
        poisoned.result()


def test_all_hear_that_ingestion_is_away_and_the_next_is_tried_again():
    store = Store()
    for each in together(store, [([MESSAGE], "web"), ([b"away"], "web")]):
        with pytest.raises(UnavailableError):
            each.result()
    with collector_of(store) as collector:
        assert collector.store([MESSAGE], "web") == []


def test_what_would_wait_beyond_the_bound_is_refused_and_what_waits_is_stored():
    store = SlowStore()
    with (
        collector_of(store, window_seconds=0, waiting_bytes=len(MESSAGE)) as collector,
        ThreadPoolExecutor(3) as pool,
    ):
        called = pool.submit(collector.store, [MESSAGE], "web")
        assert store.has_begun.wait(30)
        rivals = [pool.submit(collector.store, [MESSAGE], "web") for _ in range(2)]
        (refused,), (waiting,) = wait(rivals, 30, FIRST_COMPLETED)
        assert isinstance(refused.exception(), ResourceExhaustedError)
        store.may_end.set()
        assert called.result(30) == waiting.result(30) == []
    assert len(store.calls) == 2


def test_closing_stores_what_waits_and_refuses_what_comes():
    store = SlowStore()
    with ThreadPoolExecutor(1) as pool:
        collector = Collector(store)
        waiting = pool.submit(collector.store, [MESSAGE], "web")
        assert store.has_begun.wait(30)
        store.may_end.set()
        collector.close(30)
        assert waiting.result(30) == []
    with pytest.raises(UnavailableError) as caught:
        collector.store([MESSAGE], "web")
    assert caught.value.reason == "DOOR_CLOSING"
