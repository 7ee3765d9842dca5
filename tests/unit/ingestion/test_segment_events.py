"""Segment-spec JSON, by gRPC and from files, through the one validator."""

import json

import pytest

from tests.unit.ingestion.ingestion_world import NOW

ANA = {"userId": "ana", "timestamp": "2023-11-01T10:00:00Z"}
ORDER = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "m1",
    "userId": "ana",
    "anonymousId": "visitor-1",
    "timestamp": "2023-11-01T10:00:00Z",
    "properties": {
        "order_id": "o1",
        "revenue": 25.5,
        "coupon": "AUTUMN",
        "products": [
            {"product_id": "p1", "price": 10, "quantity": 2, "category": "tea"},
            {"sku": "p2", "price": "5.50"},
        ],
    },
    "context": {
        "campaign": {"name": "autumn", "medium": "email"},
        "consent": {"categoryPreferences": {"analytics": True, "ads": False}},
        "library": {"name": "analytics.js"},
    },
}


def test_an_order_lands_typed_with_the_rest_as_json(world):
    assert world.send(ORDER).accepted_row_count == 1
    [row] = world.events()
    assert (row["message_id"], row["source"], row["type"]) == ("m1", "grpc", "track")
    assert (row["gross_micros"], row["net_micros"]) == (25_500_000, 25_500_000)
    assert (row["order_id"], row["order_part"]) == ("o1", 0)
    assert row["product_ids"] == ["p1", "p2"]
    assert row["quantities"] == [2.0, 1.0]
    assert row["price_micros"] == [10_000_000, 5_500_000]
    assert (row["campaign"], row["channel"]) == ("autumn", "email")
    assert dict(row["consent"]) == {"ads": False, "analytics": True}
    assert json.loads(row["properties"]) == {
        "coupon": "AUTUMN",
        "products": [{"category": "tea"}, {}],
    }
    assert json.loads(row["context"])["library"] == {"name": "analytics.js"}
    assert not row["is_backfill"]
    assert row["ingest_time"].timestamp() * 1000 == NOW


def test_a_group_keeps_its_id_beside_its_traits(world):
    group = {"type": "group", "groupId": "g-9", "traits": {"plan": "pro"}, **ANA}
    assert world.send(group).accepted_row_count == 1
    [row] = world.events()
    assert json.loads(row["properties"]) == {"group_id": "g-9", "plan": "pro"}


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"userId": None, "anonymousId": None}, "MISSING_ID", "userId"),
        ({"userId": "", "anonymousId": ""}, "MISSING_ID", "userId"),
        ({"type": "trak"}, "UNKNOWN_TYPE", "type"),
        ({"type": None, "event": None}, "MISSING_FIELD", "type"),
        ({"event": None}, "MISSING_FIELD", "event"),
        ({"type": "alias"}, "MISSING_FIELD", "previousId"),
        ({"timestamp": "yesterday"}, "BAD_TIMESTAMP", "timestamp"),
        ({"timestamp": "1969-12-31T23:59:59Z"}, "BAD_TIMESTAMP", "timestamp"),
        ({"sentAt": "then"}, "BAD_TIMESTAMP", "sentAt"),
        ({"timestamp": "2023-11-16T00:00:00Z"}, "FUTURE_TIMESTAMP", "timestamp"),
        ({"properties": {"revenue": "a lot"}}, "BAD_NUMBER", "properties.revenue"),
        ({"properties": {"revenue": 1e30}}, "BAD_NUMBER", "properties.revenue"),
        ({"properties": {"revenue": -1}}, "NEGATIVE_PRICE", "properties.revenue"),
        ({"properties": {}}, "MISSING_FIELD", "properties.revenue"),
        (
            {"properties": {"products": [{"product_id": "p", "price": -1}]}},
            "NEGATIVE_PRICE",
            "properties.products.price",
        ),
        ({"properties": {"products": "p1"}}, "BAD_FIELD_TYPE", "properties.products"),
        ({"properties": []}, "BAD_FIELD_TYPE", "properties"),
        ({"userId": {"id": 7}}, "BAD_FIELD_TYPE", "userId"),
    ],
)
def test_each_fault_is_named_with_its_field(world, change, reason, field):
    done = world.send(ORDER | change, ORDER | {"messageId": "good"})
    assert (done.accepted_row_count, done.rejected_row_count) == (1, 1)
    [refusal] = done.rejections
    assert (refusal.row, refusal.reason, refusal.field) == (0, reason, field)
    assert refusal.message


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (b"{", "BAD_JSON"),
        (b"7", "BAD_JSON"),
        (b'{"type":"\xff"}', "BAD_ENCODING"),
        (b"[" * 100_000, "BAD_JSON"),
        (b'{"properties":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b',"type":"track"}', "BAD_JSON"),
        (b'{"a":"' + b"x" * (2 << 20) + b'"}', "FIELD_TOO_LARGE"),
    ],
)
def test_bytes_that_are_no_event_are_kept_as_they_came(world, event, reason):
    done = world.send(event)
    assert [refusal.reason for refusal in done.rejections] == [reason]
    [row] = world.rejected()
    assert world.vault.letters([row.rejection_id])[row.rejection_id].payload == event


def test_revenue_is_summed_from_the_products_where_it_is_not_given(world):
    properties = {key: value for key, value in ORDER["properties"].items() if key != "revenue"}
    world.send(ORDER | {"properties": properties})
    assert world.events()[0]["gross_micros"] == 25_500_000


@pytest.mark.parametrize("name", ["Order Refunded", "Order Cancelled"])
def test_a_refund_takes_from_net_only(world, name):
    properties = {"order_id": "o1", "total": 4.25}
    world.send(ORDER, ORDER | {"event": name, "messageId": "m2", "properties": properties})
    refund = next(row for row in world.events() if row["message_id"] == "m2")
    assert (refund["gross_micros"], refund["net_micros"]) == (0, -4_250_000)


def test_other_events_move_no_money_and_keep_their_product(world):
    properties = {"product_id": "p1", "price": 3, "name": "Green tea", "revenue": 9}
    world.send(ORDER | {"event": "Product Viewed", "properties": properties})
    [row] = world.events()
    assert (row["gross_micros"], row["net_micros"]) == (0, 0)
    assert (row["product_ids"], row["price_micros"]) == (["p1"], [3_000_000])
    assert json.loads(row["properties"]) == {
        "product": {"name": "Green tea", "sku": "p1"},
        "revenue": 9,
    }


def test_an_order_without_a_number_is_an_order_of_its_own(world):
    for name in ("a", "b"):
        world.send(ORDER | {"messageId": name, "properties": {"revenue": 1}})
    assert world.one("SELECT uniqExact(order_id) FROM events") == 2


def test_a_second_completion_of_an_order_is_a_later_part(world):
    world.send(ORDER)
    world.send(ORDER | {"messageId": "m2", "timestamp": "2023-11-02T10:00:00Z"})
    assert [row["order_part"] for row in world.events()] == [0, 1]


def test_the_clock_of_the_device_is_corrected(world):
    times = {
        "originalTimestamp": "2020-01-01T00:00:00Z",
        "sentAt": "2020-01-01T00:00:10Z",
        "receivedAt": "2023-11-01T12:00:00Z",
    }
    world.send(ORDER | times)
    assert world.events()[0]["event_time"].isoformat() == "2023-11-01T11:59:50+00:00"


def test_without_a_time_of_receipt_the_clock_of_now_corrects(world):
    event = ORDER | {"timestamp": "2030-01-01T00:00:00Z", "sentAt": "2030-01-01T00:01:00Z"}
    world.send(event)
    assert world.events()[0]["event_time"].timestamp() * 1000 == NOW - 60_000


def test_a_live_event_without_a_time_happened_now_but_one_in_a_file_is_refused(world):
    event = {key: value for key, value in ORDER.items() if key != "timestamp"}
    world.send(event)
    assert world.events()[0]["event_time"].timestamp() * 1000 == NOW
    world.take(world.file("events.jsonl", json.dumps(event | {"messageId": "m2"})))
    assert world.faults() == {(0, "MISSING_FIELD", "timestamp")}


def test_first_arrival_wins(world):
    assert world.send(ORDER, ORDER).duplicate_row_count == 1
    done = world.send(ORDER | {"timestamp": "2023-11-01T11:00:00Z"})
    assert (done.accepted_row_count, done.duplicate_row_count) == (0, 1)
    assert world.events()[0]["event_time"].hour == 10


def test_events_without_a_message_id_are_told_apart_by_content_and_count(world):
    event = {key: value for key, value in ORDER.items() if key != "messageId"}
    assert world.send(event, event).accepted_row_count == 2
    assert world.send(event, event).duplicate_row_count == 2
    assert world.send(event, event, event).accepted_row_count == 1
    assert world.send(event, source="shop").accepted_row_count == 1


def test_a_file_of_json_lines_is_a_backfill_with_its_own_times(world):
    path = world.file("events.jsonl", "\n".join([json.dumps(ORDER), "", json.dumps(ORDER)]))
    done = world.take(path)
    assert (done.row_count, done.accepted_row_count, done.duplicate_row_count) == (2, 1, 1)
    [row] = world.events()
    assert row["is_backfill"]
    assert row["ingest_time"] == row["event_time"]
    assert row["source"] == "segment"


def test_identify_page_screen_group_and_alias_are_taken(world):
    events = [
        {"type": "identify", "anonymousId": "v", "traits": {"plan": "pro"}, **ANA},
        {"type": "page", "name": "Home", "anonymousId": "v", "timestamp": ANA["timestamp"]},
        {"type": "screen", "name": "Cart", **ANA},
        {"type": "group", "groupId": "g", "traits": {"size": 3}, **ANA},
        {"type": "alias", "previousId": "old", **ANA},
    ]
    assert world.send(*events).accepted_row_count == 5
    named = {row["type"]: row for row in world.events()}
    assert json.loads(named["identify"]["properties"]) == {"plan": "pro"}
    assert named["page"]["event"] == "Home"
    assert named["page"]["user_key"] == 0


def test_identity_remembers_each_pair_once_at_its_first_event(world):
    pair = {"type": "identify", "anonymousId": "v", **ANA}
    world.send(pair, pair | {"timestamp": "2023-11-03T10:00:00Z"})
    world.send(pair | {"timestamp": "2023-11-04T10:00:00Z"})
    world.send({"type": "alias", "previousId": "v", **ANA})
    rows = world.warehouse.query("SELECT kind, event_time FROM identity ORDER BY kind").to_pylist()
    assert [row["kind"] for row in rows] == ["alias", "identify"]
    world.send(pair | {"timestamp": "2023-10-01T10:00:00Z"})
    assert world.one("SELECT min(toMonth(event_time)) FROM identity") == 10


def test_replay_of_a_live_event_arrives_now(world):
    world.send(ORDER | {"timestamp": "2023-11-16T00:00:00Z"})
    mapping = "kind: segment\nlimits: {future_days: 10}"
    assert world.replay(mapping).accepted_row_count == 1
    [row] = world.events()
    assert (row["source"], row["is_backfill"]) == ("grpc", False)
    assert row["ingest_time"].timestamp() * 1000 == NOW


def test_flat_tables_of_events_give_the_same_rows(world):
    text = (
        "messageId,userId,anonymousId,event,timestamp,revenue,order_id,colour\n"
        "m1,ana,visitor-1,Order Completed,2023-11-01T10:00:00Z,25.5,o1,red\n"
        ",ana,,Product Viewed,2023-11-01T10:00:00Z,,,\n"
        ",,,Product Viewed,2023-11-01T10:00:00Z,,,\n"
    )
    done = world.take(world.file("events.csv", text))
    assert (done.accepted_row_count, done.rejected_row_count) == (2, 1)
    assert world.faults() == {(2, "MISSING_ID", "userId")}
    order = next(row for row in world.events() if row["message_id"] == "m1")
    assert order["gross_micros"] == 25_500_000
    assert order["properties"] == '{"colour":"red"}'
    assert order["source"] == "segment"
    assert world.take(world.file("again.csv", text)).accepted_row_count == 0


def test_a_mapping_can_rename_events_and_read_numbers_of_time(world):
    mapping = """
kind: events
source: log
columns:
  event: event_type
  user: user_id
  time: {column: at, unit: ms}
  product: product_id
  unit_price: price
events: {view: Product Viewed, purchase: Order Completed}
"""
    text = (
        "at,event_type,product_id,price,user_id\n"
        "1600000000000,view,9,3.5,1\n"
        "1600000000001,purchase,9,3.5,1\n"
    )
    assert world.take(world.file("log.csv", text), mapping).accepted_row_count == 2
    viewed, bought = world.events()
    assert (viewed["event"], viewed["gross_micros"]) == ("Product Viewed", 0)
    assert (bought["event"], bought["gross_micros"]) == ("Order Completed", 3_500_000)
