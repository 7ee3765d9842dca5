"""Segment-spec HTTP from a socket to rows of the warehouse."""

import base64
import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oriel.ingestion.v1 import ingestion_pb2 as pb
from oriel.ingestion.v1 import ingestion_pb2_grpc as rpc
from services.console.main import ConsoleSettings, serve
from services.ingestion.main import IngestionSettings, build
from shared.config.home import Home, WorkspaceSettings
from shared.config.write_keys import WriteKeys
from shared.errors import ResourceExhaustedError
from shared.obs.metrics import CONSOLE_CALL_MESSAGES
from shared.rpc import Service, connect
from shared.rpc import serve as serve_rpc
from shared.warehouse import migrate, open_embedded
from tests.support.shell_blocks import missing_lines, quick_oriel_in, run_block, shell_blocks

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Answer:
    status: int
    said: dict
    headers: dict


def post(url, body, key="", **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    if key:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as found:
            return Answer(found.status, json.load(found), dict(found.headers))
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
            said = json.loads(text) if error.headers.get_content_subtype() == "json" else {}
            return Answer(error.code, said, dict(error.headers))


class Site:
    """An open door over a warehouse, and one sender's key."""

    def __init__(self, address, key, warehouse, stub):
        self.url, self.key = f"http://{address}", key
        self.warehouse, self.ingestion = warehouse, stub

    def post(self, call, body, **headers):
        return post(f"{self.url}/v1/{call}", body, self.key, **headers)

    def row(self, message_id):
        sql = """SELECT source, type, event, user_key, anonymous_key, event_time, order_id,
            gross_micros, product_ids, quantities, price_micros, properties, context
            FROM events WHERE message_id = {id:String}"""
        [row] = self.warehouse.query(sql, {"id": message_id}).to_pylist()
        return row


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("console") / "home")
    workspace = WorkspaceSettings(pseudonym_key=b"k" * 16)
    key = WriteKeys(home.write_keys_file).add("website")
    with open_embedded(home.warehouse_path) as warehouse:
        migrate(warehouse)
        service = build(IngestionSettings(home, workspace), warehouse)
        with (
            serve_rpc([service], "127.0.0.1:0") as server,
            connect(server.address) as channel,
        ):
            door = serve(ConsoleSettings(home), channel)
            yield Site(door.address, key, warehouse, rpc.IngestionServiceStub(channel))
            door.stop()


@contextmanager
def door_before(address, folder):
    """Open a door before the ingestion service at an address; yield it with a key."""
    home = Home(folder)
    key = WriteKeys(home.write_keys_file).add("website")
    with connect(address) as channel:
        door = serve(ConsoleSettings(home), channel)
        yield door, key
        door.stop()


@contextmanager
def ingestion_that(ingest):
    """Serve an ingestion service that takes events by a function."""

    class Servicer(rpc.IngestionServiceServicer):
        def IngestEvents(self, request, context):
            return ingest(request)

    name = pb.DESCRIPTOR.services_by_name["IngestionService"].full_name
    service = Service(
        name,
        lambda server: rpc.add_IngestionServiceServicer_to_server(Servicer(), server),
        lambda grace: None,
    )
    with serve_rpc([service], "127.0.0.1:0") as server:
        yield server.address


def nowhere():
    """Return an address on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


def test_an_order_of_the_ecommerce_spec_lands_typed_with_the_rest_kept(site):
    order = {
        "userId": "u-31",
        "anonymousId": "a-31",
        "event": "Order Completed",
        "messageId": "spec-order",
        "timestamp": "2026-02-03T10:11:12.345Z",
        "properties": {
            "checkout_id": "c-771",
            "order_id": "o-50314",
            "affiliation": "Corner Shop",
            "subtotal": 21.0,
            "total": 26.4,
            "revenue": 24.0,
            "shipping": 2.5,
            "tax": 1.9,
            "discount": 2,
            "coupon": "SPRING",
            "currency": "USD",
            "products": [
                {
                    "product_id": "p-1",
                    "sku": "S-1",
                    "name": "Chess Set",
                    "price": 9.5,
                    "quantity": 2,
                    "category": "Games",
                    "brand": "Oak",
                    "url": "https://shop.example/p-1",
                    "image_url": "https://shop.example/p-1.jpg",
                },
                {"product_id": "p-2", "sku": "S-2", "price": 2, "quantity": 1, "position": 2},
            ],
        },
        "context": {"library": {"name": "http"}, "locale": "en-US", "ip": "192.0.2.4"},
        "integrations": {"All": True},
    }
    answer = site.post("track", order)
    assert (answer.status, answer.said) == (200, {"success": True, "stored": 1, "rejected": []})
    row = site.row("spec-order")
    assert (row["source"], row["type"], row["event"]) == ("website", "track", "Order Completed")
    assert row["event_time"] == datetime(2026, 2, 3, 10, 11, 12, 345_000, UTC)
    assert (row["order_id"], row["gross_micros"]) == ("o-50314", 24_000_000)
    assert (row["product_ids"], row["quantities"]) == (["p-1", "p-2"], [2.0, 1.0])
    assert row["price_micros"] == [9_500_000, 2_000_000]
    properties = json.loads(row["properties"])
    assert (properties["coupon"], properties["checkout_id"]) == ("SPRING", "c-771")
    assert [each.get("category") for each in properties["products"]] == ["Games", None]
    assert json.loads(row["context"])["locale"] == "en-US"
    assert row["user_key"] != 0
    assert row["anonymous_key"] != 0


@pytest.mark.parametrize(
    ("call", "message", "event", "kept"),
    [
        ("identify", {"userId": "u-1", "traits": {"plan": "gold", "logins": 5}}, "", "plan"),
        ("page", {"name": "Home", "properties": {"path": "/", "referrer": ""}}, "Home", "path"),
        ("screen", {"name": "Cart", "properties": {"items": 3}}, "Cart", "items"),
        ("group", {"groupId": "g-8", "traits": {"employees": 12}}, "", "group_id"),
        ("alias", {"previousId": "a-7", "userId": "u-7"}, "", None),
    ],
)
def test_each_call_of_the_spec_goes_through(site, call, message, event, kept):
    sent = {"anonymousId": "a-9", "context": {"userAgent": "x"}, **message}
    for path in (call, call[0]):
        message_id = f"spec-{path}"
        answer = site.post(path, {**sent, "messageId": message_id, "timestamp": "2026-02-01"})
        assert answer.status == 200, answer.said
        row = site.row(message_id)
        assert (row["type"], row["event"]) == (call, event)
        assert kept is None or kept in json.loads(row["properties"])


def test_a_batch_of_all_calls_goes_through_packed(site):
    calls = [
        {"type": "identify", "traits": {"plan": "gold"}},
        {"type": "track", "event": "Item Bought"},
        {"type": "page", "name": "Docs"},
        {"type": "screen", "name": "Start"},
        {"type": "group", "groupId": "g-1"},
        {"type": "alias", "previousId": "a-1"},
    ]
    batch = [{"userId": "u-2", "messageId": f"b-{n}", **call} for n, call in enumerate(calls)]
    body = {"batch": batch, "context": {"app": "till"}, "integrations": {}, "writeKey": site.key}
    packed = gzip.compress(json.dumps(body).encode())
    answer = post(f"{site.url}/v1/batch", packed, **{"Content-Encoding": "gzip"})
    assert answer.said == {"success": True, "stored": 6, "rejected": []}
    assert [site.row(f"b-{n}")["type"] for n in range(6)] == [call["type"] for call in calls]
    assert json.loads(site.row("b-0")["context"])["app"] == "till"


def test_the_clock_of_a_sender_is_taken_out_of_the_time_of_its_events(site):
    before = datetime.now(UTC)
    ahead = before + timedelta(hours=5)
    site.post(
        "track",
        {
            "userId": "u-3",
            "event": "Seen",
            "messageId": "skewed",
            "originalTimestamp": (ahead - timedelta(minutes=2)).isoformat(),
            "sentAt": ahead.isoformat(),
            "receivedAt": "1999-01-01T00:00:00Z",
        },
    )
    found = site.row("skewed")["event_time"] + timedelta(minutes=2)
    # Rows know milliseconds.
    assert before - timedelta(milliseconds=2) <= found <= datetime.now(UTC)


def test_concurrent_requests_share_inserts_and_a_repeated_message_counts_once(site):
    before = call_count()

    def send(number):
        message = {"userId": f"u-{number % 7}", "event": "Tick", "messageId": f"tick-{number}"}
        return site.post("track", message).status

    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(send, [*range(150), *range(150)])) == {200}
    sql = "SELECT count() AS n, uniqExact(message_id) AS ids FROM events WHERE event = 'Tick'"
    assert site.warehouse.query(sql).to_pylist() == [{"n": 150, "ids": 150}]
    assert 1 <= call_count() - before < 300


def call_count():
    """Return how many calls of ingestion doors of this process have made."""
    (family,) = CONSOLE_CALL_MESSAGES.collect()
    return next(each.value for each in family.samples if each.name.endswith("_count"))


def test_a_message_without_an_id_gets_one(site):
    assert site.post("track", {"userId": "u-4", "event": "Nameless"}).status == 200
    sql = "SELECT message_id FROM events WHERE event = 'Nameless'"
    [row] = site.warehouse.query(sql).to_pylist()
    assert uuid.UUID(row["message_id"].removeprefix("api-")).version == 4


def test_what_cannot_be_stored_is_kept_without_the_key_and_the_answer_says_why(site):
    answer = site.post("track", {"userId": "u-5", "event": "Odd", "timestamp": "yesterday"})
    assert answer.status == 400
    assert (answer.said["code"], answer.said["field"]) == ("BAD_TIMESTAMP", "timestamp")
    lost = {"writeKey": site.key, "batch": [{"type": "page"}, {"type": "page", "userId": "u-5"}]}
    answer = post(f"{site.url}/v1/b", lost)
    assert (answer.status, answer.said["stored"]) == (200, 1)
    assert [(each["index"], each["code"]) for each in answer.said["rejected"]] == [
        (0, "MISSING_ID")
    ]
    listed = site.ingestion.ListRejectedEvents(pb.ListRejectedEventsRequest(source="website"))
    assert {each.reason for each in listed.events} == {"BAD_TIMESTAMP", "MISSING_ID"}
    assert not any(site.key.encode() in each.payload for each in listed.events)
    done = site.ingestion.ReplayRejectedEvents(pb.ReplayRejectedEventsRequest(source="website"))
    assert (done.replayed_count, done.rejected_count) == (2, 2)


def test_a_body_that_is_far_too_long_is_not_even_read(site):
    host = site.url.removeprefix("http://")
    with closing(http.client.HTTPConnection(host, timeout=30)) as connection:
        connection.putrequest("POST", "/v1/batch")
        connection.putheader("Content-Length", "1100000")
        connection.endheaders()
        assert connection.getresponse().status == 413


def test_health_follows_ingestion(site):
    with urllib.request.urlopen(f"{site.url}/health/ready", timeout=10) as found:
        assert found.status == 200


def test_a_door_before_no_ingestion_says_when_to_come_again(tmp_path):
    with door_before(nowhere(), tmp_path) as (door, key):
        answer = post(f"http://{door.address}/v1/t", {"userId": "u"}, key)
        assert (answer.status, answer.said["success"]) == (503, False)
        assert int(answer.headers["Retry-After"]) >= 1
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://{door.address}/health/ready", timeout=10)
        caught.value.close()
        assert caught.value.code == 503


def test_ingestion_that_is_full_is_a_429(tmp_path):
    def full(request):
        raise ResourceExhaustedError("full", reason="TOO_MANY_CALLS")

    with ingestion_that(full) as address, door_before(address, tmp_path) as (door, key):
        answer = post(f"http://{door.address}/v1/t", {"userId": "u"}, key)
    assert (answer.status, answer.said["code"]) == (429, "TOO_MANY_CALLS")
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_door_that_closes_answers_who_is_in(tmp_path):
    has_begun, may_end = threading.Event(), threading.Event()

    def slowly(request):
        has_begun.set()
        may_end.wait(30)
        return pb.IngestEventsResponse(accepted_count=len(request.events))

    with (
        ingestion_that(slowly) as address,
        door_before(address, tmp_path) as (door, key),
        ThreadPoolExecutor(2) as pool,
    ):
        sent = pool.submit(post, f"http://{door.address}/v1/t", {"userId": "u"}, key)
        assert has_begun.wait(30)
        closing = pool.submit(door.stop, 30.0)
        may_end.set()
        assert sent.result(30).status == 200
        closing.result(30)
        with pytest.raises(urllib.error.URLError):
            post(f"http://{door.address}/v1/t", {"userId": "u"}, key)


def test_a_door_whose_port_is_taken_says_so(tmp_path, site):
    port = int(site.url.rpartition(":")[2])
    with connect("127.0.0.1:1") as channel, pytest.raises(Exception, match=f":{port} for HTTP"):
        serve(ConsoleSettings(Home(tmp_path), port=port), channel)


def test_the_door_is_a_process_of_its_own_that_waits_for_ingestion(tmp_path):
    home = Home(tmp_path / "home")
    WorkspaceSettings(pseudonym_key=b"k" * 16).save(home.settings_file)
    key = WriteKeys(home.write_keys_file).add("website")
    address = nowhere()
    told = {
        "PATH": os.environ["PATH"],
        "ORIEL_HOME": str(home.path),
        "ORIEL_INGESTION_ADDRESS": nowhere(),
        "ORIEL_CONSOLE_ADDRESS": address,
    }
    command = [sys.executable, "-m", "services.console"]
    with subprocess.Popen(command, cwd=ROOT, env=told, stderr=subprocess.PIPE, text=True) as door:
        assert door.stderr is not None
        assert any(address in line for line in door.stderr)
        assert post(f"http://{address}/v1/t", {"userId": "u"}, key).status == 503
        door.send_signal(signal.SIGTERM)
        assert door.wait(30) == 0
    told = {"PATH": os.environ["PATH"], "ORIEL_CONSOLE_ADDRESS": "nowhere"}
    ended = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True)
    assert ended.returncode == 2
    for name in ("ORIEL_HOME", "ORIEL_INGESTION_ADDRESS", "ORIEL_CONSOLE_ADDRESS"):
        assert name in ended.stderr


@contextmanager
def oriel_up(folder):
    """Run `oriel up --http 0` on the workspace in a folder; yield the process and its address."""
    command = [sys.executable, "-m", "app", "--home", str(folder / ".oriel"), "up"]
    process = subprocess.Popen(
        [*command, "--http", "0", "--port", "0", "--metrics-port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    with process.stdout:
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Stop with"):
                break
        found = re.search(r"http://(\S+)/v1/batch", said)
        assert found, said
        try:
            yield process, found[1]
        finally:
            process.kill()
            process.wait(30)


def test_the_page_does_what_it_says_and_kill_9_loses_nothing_acknowledged(tmp_path):
    page = (ROOT / "docs" / "how-to" / "send-events.md").read_text(encoding="utf-8")
    (tmp_path / "bin").mkdir()
    path = quick_oriel_in(tmp_path / "bin")
    (tmp_path / "page.md").write_text(page)
    first = shell_blocks(tmp_path / "page.md")[0]
    run_block(first, tmp_path, path)
    with oriel_up(tmp_path) as (process, address):
        (tmp_path / "page.md").write_text(page.replace("127.0.0.1:8080", address))
        for block in shell_blocks(tmp_path / "page.md")[1:]:
            printed = run_block(block, tmp_path, path)
            assert missing_lines(block, printed) == [], printed
        key = (tmp_path / "website.key").read_text().strip()
        acknowledged = acknowledged_until_killed(process, f"http://{address}/v1/track", key)
    assert len(acknowledged) >= 40
    stored = stored_ids(tmp_path / ".oriel" / "warehouse")
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))


def stored_ids(warehouse):
    """Read what lies in a warehouse, in a process of its own: the engine opens one folder each."""
    script = """
import pathlib, sys
from shared.warehouse import open_embedded
with open_embedded(pathlib.Path(sys.argv[1])) as warehouse:
    rows = warehouse.query("SELECT message_id FROM events WHERE event = 'Tick'")
    print(*rows.column("message_id").to_pylist())
"""
    command = [sys.executable, "-c", script, str(warehouse)]
    return subprocess.check_output(command, cwd=ROOT, text=True, timeout=60).split()


def acknowledged_until_killed(process, url, key):
    """Send from many threads; kill -9 the server amid it; return the ids it had acknowledged."""
    acknowledged = []

    def send(worker):
        for number in range(10_000):
            message_id = f"w{worker}-{number}"
            message = {"userId": "u", "event": "Tick", "messageId": message_id}
            try:
                answer = post(url, message, key)
            except (OSError, urllib.error.URLError):
                return
            if answer.status == 200:
                acknowledged.append(message_id)
                if len(acknowledged) == 40:
                    process.send_signal(signal.SIGKILL)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(8)))
    return acknowledged
