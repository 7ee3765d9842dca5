"""Many senders at once store nothing twice."""

import json
from concurrent.futures import ThreadPoolExecutor

COUNT = 120


def event(number):
    return {
        "type": "track",
        "event": "Order Completed",
        "messageId": f"m{number}",
        "userId": f"u{number % 7}",
        "anonymousId": f"v{number % 5}",
        "timestamp": f"2023-11-01T10:00:{number % 60:02}Z",
        "properties": {"order_id": f"o{number // 2}", "revenue": 1},
    }


def test_a_file_and_many_senders_with_the_same_events(world):
    events = [event(number) for number in range(COUNT)]
    lines = "\n".join(json.dumps(each) for each in events)
    path = world.file("events.jsonl", lines)

    def send(first):
        chosen = [events[(first + step) % COUNT] for step in range(60)]
        return world.send(*chosen, source="segment")

    with ThreadPoolExecutor(6) as pool:
        imported = pool.submit(world.take, path)
        sent = list(pool.map(send, range(0, COUNT, 15)))
    tallies = [imported.result(), *sent]
    assert sum(tally.accepted_row_count for tally in tallies) == COUNT
    assert world.one("SELECT count() FROM events") == COUNT
    assert world.one("SELECT uniqExact(message_id) FROM events") == COUNT
    # Two events of one order may come by different ways; one of them is its first sale.
    firsts = "SELECT countIf(order_part = 0) = uniqExact(order_id) FROM events"
    assert world.one(f"{firsts} WHERE source = 'segment'") == 1


def test_the_same_broken_event_from_many_senders_is_one_letter(world):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: world.send(b"{"), range(8)))
    assert len(world.rejected()) == 1
