"""What comes from the bus is stored once, by whoever holds the highest claim."""

import json
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace

import pytest

from services.ingestion.usecases.claimed_warehouse import ClaimedWarehouse
from services.ingestion.usecases.ingest_stream import StreamIntake, StreamTopics
from services.ingestion.usecases.positions import Position, stored_positions
from shared.bus import Message, Partition
from shared.errors import FailedPreconditionError
from shared.warehouse.claims import claim, sweep
from tests.unit.ingestion.ingestion_world import NOW, World

TOPICS = StreamTopics(live={"shop.events"}, backfill={"shop.past"}, dead="shop.dead")
FIRST, SECOND = Partition("shop.events", 0), Partition("shop.events", 1)
PAST = Partition("shop.past", 0)
STREAM_TABLES = ("stream_claims", "stream_positions")


@dataclass(frozen=True)
class Sent:
    offset: int
    value: bytes | None
    key: bytes | None = b"ada"
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = NOW - 60_000


class Outbox:
    """Keeps what is sent."""

    def __init__(self):
        self.sent: list[Message] = []

    def send(self, message):
        self.sent.append(message)

    def flush(self):
        pass

    def transaction(self):
        return nullcontext()

    def close(self):
        pass


class Member:
    """One owner of partitions, as the consumer is."""

    def __init__(self, world: World, name: str) -> None:
        self.warehouse = ClaimedWarehouse(world.warehouse, name)
        self.outbox = Outbox()
        self.intake = StreamIntake(world.circumstances, self.warehouse, TOPICS, self.outbox)
        self.world, self.name = world, name
        self.claims, self.positions = {}, {}

    def claim(self, *partitions: Partition) -> dict[Partition, int]:
        streams = [str(each) for each in partitions]
        self.claims |= claim(self.world.warehouse, streams, self.name)
        self.positions |= stored_positions(self.world.warehouse, streams)
        return {each: self.positions[str(each)].next_offset for each in partitions}

    def take(self, slice_):
        positions = {
            str(each): self.positions[str(each)].after(records) for each, records in slice_.items()
        }
        done = self.intake.take(slice_, self.claims, positions)
        self.positions |= positions
        return done


@pytest.fixture
def streams(world: World) -> Iterator[World]:
    yield world
    for table in STREAM_TABLES:
        world.warehouse.execute(f"TRUNCATE TABLE {table}")


def event(number: int, **more: object) -> bytes:
    body = {"type": "track", "event": "Seen", "userId": "ada", "messageId": f"m{number}", **more}
    return json.dumps(body).encode()


def some(*numbers: int) -> list[Sent]:
    return [Sent(number, event(number)) for number in numbers]


def read_counts(world: World) -> dict[str, int]:
    rows = world.warehouse.query(
        "SELECT stream, sum(read_count) AS n FROM stream_positions FINAL GROUP BY stream"
    ).to_pylist()
    return {row["stream"]: row["n"] for row in rows}


def test_an_event_knows_its_place_and_became_known_when_it_was_sent(streams):
    member = Member(streams, "a")
    assert member.claim(FIRST, PAST) == {FIRST: 0, PAST: 0}
    late = Sent(3, event(2, timestamp="2023-01-01T00:00:00Z"))
    member.take({FIRST: [Sent(7, event(1))], PAST: [late]})
    columns = "stream, stream_offset, is_backfill, toUnixTimestamp64Milli(ingest_time) AS known"
    assert streams.events(columns) == [
        {
            "stream": "shop.past/0",
            "stream_offset": 3,
            "is_backfill": True,
            "known": 1_672_531_200_000,
        },
        {
            "stream": "shop.events/0",
            "stream_offset": 7,
            "is_backfill": False,
            "known": NOW - 60_000,
        },
    ]


def test_a_clock_ahead_makes_nothing_known_before_it_is_read(streams):
    member = Member(streams, "a")
    member.claim(FIRST)
    first, second = some(0, 1)
    far = replace(first, timestamp=NOW * 1000)
    member.take({FIRST: [far, replace(second, timestamp=-1)]})
    [known] = {row["ingest_time"] for row in streams.events("ingest_time")}
    assert known.timestamp() * 1000 == NOW


def test_an_event_is_named_by_itself_or_its_header_or_its_place(streams):
    member = Member(streams, "a")
    member.claim(FIRST)
    bare = json.dumps({"type": "track", "event": "Seen", "userId": "ada"}).encode()
    header = (("ce_id", b"c1"),)
    records = [Sent(0, event(1), headers=header), Sent(1, bare, headers=header), Sent(2, bare)]
    member.take({FIRST: records})
    ids = {row["message_id"] for row in streams.events("message_id")}
    assert ids == {"m1", "c1", "shop.events/0/2"}


def test_reading_goes_on_behind_what_is_stored(streams):
    first, second = Member(streams, "a"), Member(streams, "b")
    first.claim(FIRST)
    first.take({FIRST: some(0, 2)})
    assert second.claim(FIRST, SECOND) == {FIRST: 3, SECOND: 0}
    second.take({FIRST: [*some(3), Sent(4, event(0)), Sent(5, b"{"), Sent(6, None)]})
    second.take({FIRST: some(7)})
    assert len(streams.events()) == 4
    assert read_counts(streams) == {"shop.events/0": 7}


def test_events_of_a_slice_without_a_position_are_recognised(streams):
    member = Member(streams, "a")
    member.claim(FIRST)
    records = [*some(0, 1), Sent(2, b"{"), Sent(3, b"{")]
    member.take({FIRST: records})
    streams.warehouse.execute("TRUNCATE TABLE stream_positions")
    again = Member(streams, "b")
    assert again.claim(FIRST) == {FIRST: 0}
    done = again.take({FIRST: [*records, *some(4)]})
    assert (done.accepted_row_count, done.duplicate_row_count) == (1, 2)
    assert len(streams.events()) == 3
    assert [row.row for row in streams.rejected()] == [2, 3]


def test_who_lost_a_claim_stores_nothing(streams):
    sleeper, successor = Member(streams, "z"), Member(streams, "a")
    sleeper.claim(FIRST, SECOND)
    assert successor.claim(FIRST) == {FIRST: 0}
    with pytest.raises(FailedPreconditionError) as caught:
        sleeper.take({FIRST: some(0), SECOND: [Sent(0, b"{"), *some(1)]})
    assert caught.value.reason == "STREAM_CLAIM_LOST"
    assert streams.events() == []
    assert streams.rejected() == []
    assert read_counts(streams) == {}
    successor.take({FIRST: some(0)})
    sleeper.warehouse.forget()
    assert sleeper.claim(FIRST) == {FIRST: 1}
    assert len(streams.events()) == 1


def test_of_two_who_claim_at_once_one_may_write(streams):
    members = [Member(streams, "a"), Member(streams, "b")]
    for member in members:  # both read the same highest epoch before either wrote
        streams.warehouse.execute(
            "INSERT INTO stream_claims SELECT 'shop.events/0', 1, {owner:String}, now64(3)",
            {"owner": member.name},
        )
        member.claims, member.positions = {str(FIRST): 1}, {str(FIRST): Position()}
    with pytest.raises(FailedPreconditionError):
        members[0].take({FIRST: some(0)})
    members[1].take({FIRST: some(0)})
    assert len(streams.events()) == 1


def test_a_claim_waits_for_the_write_that_may_not_have_seen_it(streams):
    warehouse = streams.warehouse
    warehouse.execute("CREATE TABLE stream_arriving_slow ENGINE = Memory AS SELECT 1 AS n")
    writing = threading.Thread(
        target=warehouse.execute,
        args=(
            "INSERT INTO stream_positions SELECT 'shop.events/0', 1, 9, 9, 0 "
            "FROM stream_arriving_slow WHERE sleepEachRow(0.5) = 0",
        ),
    )
    writing.start()
    running = "SELECT count() FROM system.processes WHERE position(query, 'sleepEachRow') > 0"
    while writing.is_alive() and streams.one(running) < 2:  # this question is one of them
        pass
    assert Member(streams, "a").claim(FIRST) == {FIRST: 9}
    writing.join()
    warehouse.execute("DROP TABLE stream_arriving_slow")


def test_a_dead_letter_keeps_bytes_key_and_headers_and_says_why(streams):
    member = Member(streams, "a")
    member.claim(FIRST, SECOND)
    odd = Sent(5, b'{"type": "track", \xff', b"\x00key", (("x-from", b"till\xff"),))
    member.take({SECOND: some(9), FIRST: [odd]})
    [message] = member.outbox.sent
    assert (message.topic, message.key, message.value) == ("shop.dead", odd.key, odd.value)
    assert message.headers[0] == ("x-from", b"till\xff")
    told = dict(message.headers)
    assert told["oriel-reason"] == b"BAD_ENCODING"
    assert (told["oriel-topic"], told["oriel-partition"]) == (b"shop.events", b"0")
    assert told["oriel-offset"] == b"5"
    [letter] = streams.rejected()
    assert (letter.origin, letter.row, letter.payload) == ("shop.events/0", 5, odd.value)


def test_letters_of_partitions_with_equal_offsets_are_told_apart(streams):
    member = Member(streams, "a")
    member.claim(FIRST, SECOND)
    member.take({FIRST: [Sent(1, b"a"), Sent(2, b"b")], SECOND: [Sent(1, b"c")]})
    found = {(row.origin, row.row, row.payload) for row in streams.rejected()}
    assert found == {
        ("shop.events/0", 1, b"a"),
        ("shop.events/0", 2, b"b"),
        ("shop.events/1", 1, b"c"),
    }


def test_a_letter_of_the_bus_is_replayed_with_counts(streams):
    member = Member(streams, "a")
    member.claim(FIRST)
    ahead = event(1, timestamp="2023-11-16T00:00:00Z")
    member.take({FIRST: [Sent(0, ahead), Sent(1, b"{")]})
    streams.circumstances = replace(
        streams.circumstances, now_milliseconds=lambda: NOW + 2 * 86_400_000
    )
    done = streams.replay()
    assert (done.row_count, done.accepted_row_count, done.rejected_row_count) == (2, 1, 1)


def test_tables_of_the_long_dead_are_dropped_and_those_of_the_living_stay(streams):
    member = Member(streams, "living")
    member.claim(FIRST)
    member.take({FIRST: some(0)})
    sweep(streams.warehouse)
    member.take({FIRST: some(1)})
    named = "SELECT count() FROM system.tables WHERE endsWith(name, '_living')"
    assert streams.one(named) == 2
    member.warehouse.forget()
    member.warehouse.close()
    assert streams.one(named) == 0
