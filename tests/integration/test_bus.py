"""Oriel on a real Kafka: what is sent, seen, stored, refused and stored again."""

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import cli
from services.ingestion.main import GROUP, stream_consumer
from shared.bus import CloudEvent, Message, Partition
from shared.bus.cluster import Cluster
from shared.bus.reader import join, read
from shared.bus.topics import DECLARATION, parse_topics
from shared.bus.writer import KafkaWriter
from shared.errors import FailedPreconditionError, InvalidArgumentError
from shared.warehouse import migrate, open_embedded
from tests.unit.ingestion.ingestion_world import World

pytestmark = pytest.mark.server

TOPICS = parse_topics(DECLARATION.read_text(encoding="utf-8"))
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 30


class Unheard:
    """Does nothing at rebalances."""

    def assigned(self, partitions):
        pass

    def revoked(self, partitions):
        pass

    def lost(self, partitions):
        pass


@pytest.fixture
def topics(bus):
    with Cluster(bus) as cluster:
        cluster.apply(TOPICS)
    return bus


@contextmanager
def writing(bus, name=""):
    writer = KafkaWriter(bus, name)
    yield writer
    writer.close()


def event(number, **more):
    body = {"type": "track", "event": "Seen", "messageId": f"m{number}", "userId": f"u{number % 9}"}
    return json.dumps(body | {"timestamp": "2024-01-01T00:00:00Z"} | more).encode()


def abort(writer, one):
    """Send a message in a transaction that does not come to its end."""
    with suppress(ZeroDivisionError), writer.transaction():
        writer.send(one)
        writer.flush()
        raise ZeroDivisionError


def message(bus, number, topic="events.v1", **more):
    return Message(bus.name(topic), f"u{number % 9}".encode(), event(number), **more)


def all_of(bus, topic, count):
    """Return the first records of a topic, by partition."""
    number = next(each.partitions for each in TOPICS if each.name == topic)
    reader = read(bus, {Partition(bus.name(topic), each): 0 for each in range(number)})
    found, deadline = {}, time.monotonic() + PATIENCE_SECONDS
    while sum(map(len, found.values())) < count and time.monotonic() < deadline:
        for partition, records in reader.poll(0.2, 1000).items():
            found.setdefault(partition, []).extend(records)
    reader.close()
    return found


@contextmanager
def ingesting(bus, folder):
    """Store what the bus has in a workspace of its own; yields its world."""
    folder.mkdir()
    with open_embedded(folder / "warehouse") as warehouse:
        migrate(warehouse)
        world = World(warehouse, folder)
        world.circumstances = replace(
            world.circumstances, now_milliseconds=lambda: time.time_ns() // 1_000_000
        )
        consumer = stream_consumer(bus, world.circumstances)
        thread = threading.Thread(target=consumer.run)
        thread.start()
        try:
            yield world
        finally:
            consumer.stop()
            thread.join()
            world.vault.close()


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def told(bus):
    """Return the offsets that the group told the broker, in all."""
    with Cluster(bus) as cluster:
        extents = cluster.extents(GROUP, ["events.v1", "events.backfill.v1"])
    return sum(each.next_offset or 0 for each in extents)


def oriel(bus, *arguments):
    options = ["bus", "--servers", ",".join(bus.servers), "--prefix", bus.prefix]
    return CliRunner().invoke(cli, [*options, *arguments], catch_exceptions=False)


def test_a_user_stays_in_order_with_headers_and_bytes(topics):
    headers = CloudEvent("1", "till", "com.segment.track").headers()
    with writing(topics) as writer:
        for number in range(90):
            writer.send(message(topics, number, headers=headers))
        writer.send(Message(topics.name("events.v1"), b"u3", None))
        writer.flush()
    found = all_of(topics, "events.v1", 91)
    for number in range(9):
        values = [
            record.value
            for records in found.values()
            for record in records
            if record.key == f"u{number}".encode()
        ]
        expected = [event(each) for each in range(number, 90, 9)]
        assert values == (expected if number != 3 else [*expected, None])
    [first, *_] = next(iter(found.values()))
    assert list(first.headers) == headers


def test_what_a_transaction_aborts_is_never_read_and_a_second_writer_fences_the_first(topics):
    with writing(topics, "sender") as writer:
        abort(writer, message(topics, 1))
        with writer.transaction():
            writer.send(message(topics, 2))
        with writing(topics, "sender") as other, other.transaction():
            other.send(message(topics, 3))
        with pytest.raises(FailedPreconditionError) as caught, writer.transaction():
            writer.send(message(topics, 4))
        assert caught.value.reason == "BUS_WRITER_FENCED"
    records = [each for some in all_of(topics, "events.v1", 2).values() for each in some]
    assert sorted(each.value for each in records) == [event(2), event(3)]


def test_what_cannot_be_sent_or_read_is_refused_in_words(topics, bus):
    with writing(topics) as writer:
        with pytest.raises(InvalidArgumentError, match="tombstone and needs a key"):
            writer.send(Message(topics.name("events.v1"), None, None))
        with pytest.raises(InvalidArgumentError, match="larger than"):
            writer.send(Message(topics.name("events.v1"), b"u", bytes(3 << 20)))
        with pytest.raises(FailedPreconditionError, match="without a name"), writer.transaction():
            pass
    with pytest.raises(FailedPreconditionError, match=r"no topic .*\.absent; .*oriel bus apply"):
        join(bus, "group", ["absent"], Unheard())


def test_the_command_shows_and_makes_what_is_missing_and_prints_messages_and_lag(bus):
    planned = oriel(bus, "apply", "--dry-run")
    assert "Would change" in planned.output
    assert f"{bus.prefix}.events.v1.dlq" in planned.output
    assert oriel(bus, "apply", "--dry-run").output == planned.output
    assert "Changed" in oriel(bus, "apply").output
    assert "all 6 topics are as declared" in oriel(bus, "apply").output
    with writing(bus) as writer:
        writer.send(message(bus, 1))
        writer.send(message(bus, 2))
    shown = oriel(bus, "tail", "events.v1", "--from-start", "--limit", "2").output.splitlines()
    assert {json.loads(line)["key"] for line in shown} == {"u1", "u2"}
    assert oriel(bus, "lag").output.splitlines()[-1] == "lag in all: 2"


def test_events_of_the_bus_are_stored_once_and_an_empty_deployment_becomes_the_same(
    topics, tmp_path
):
    with writing(topics) as writer:
        for number in range(300):
            writer.send(message(topics, number))
        for number in range(20):
            writer.send(message(topics, number))
        for number in range(5):
            value = b'{"type": "track", %d' % number
            writer.send(Message(topics.name("events.v1"), b"u1", value, [("x-from", b"\xff")]))
        writer.send(message(topics, 400, topic="events.v1.retry"))
        writer.send(message(topics, 401, topic="events.backfill.v1"))
        writer.send(Message(topics.name("events.v1"), b"u3", None))
    with writing(topics, "foreign") as foreign:
        abort(foreign, message(topics, 500))
    held = []
    for name in ("first", "again"):
        with ingesting(topics, tmp_path / name) as world:
            wait_for(lambda: world.one("SELECT sum(read_count) FROM stream_positions FINAL") == 328)
            assert world.one("SELECT count() FROM events") == 302
            assert world.one("SELECT uniqExact(message_id) FROM events") == 302
            assert world.one("SELECT countIf(is_backfill) FROM events") == 1
            held.append(world.events())
            assert len(world.rejected()) == 5
            assert world.replay().rejected_row_count == 5
            wait_for(lambda: told(topics) == 327)
    assert held[0] == held[1]
    dead = [each for some in all_of(topics, "events.v1.dlq", 10).values() for each in some]
    assert len(dead) == 10  # of both deployments
    assert ("x-from", b"\xff") in dead[0].headers


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_when_members_die_or_sleep(kafka):
    del kafka  # where there is none, this is skipped too
    command = [sys.executable, "-m", "tests.support.stream_history", "--pace", "400", "--only"]
    faults = ["stop member", "kill -9 member"]
    done = subprocess.run(
        [*command, *faults], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost 0 doubled 0 rejected missing 0" in done.stdout
