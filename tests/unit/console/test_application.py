"""What the door answers, over a store that is a list."""

import base64
import gzip
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from services.console.domain.messages import BATCH_BYTES, MESSAGE_BYTES
from services.console.http.application import create_application
from services.console.usecases.collect import Collector
from services.console.usecases.ports import Rejection
from services.console.usecases.take import Door
from shared.config.write_keys import WriteKeys
from shared.errors import (
    CancelledError,
    FailedPreconditionError,
    ResourceExhaustedError,
    UnavailableError,
)
from shared.obs import metrics

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Store:
    """Keeps messages; refuses those without a user, and all while it has a failure."""

    def __init__(self):
        self.stored, self.failure = [], None

    def ingest(self, messages, source):
        if self.failure:
            raise self.failure
        parsed = [json.loads(message) for message in messages]
        self.stored += [(source, each) for each in parsed if "userId" in each]
        return [
            Rejection(place, "MISSING_ID", "userId", "give a user")
            for place, each in enumerate(parsed)
            if "userId" not in each
        ]


class Site:
    """A door with a key, and a client before it."""

    def __init__(self, folder):
        self.keys = WriteKeys(folder / "write_keys.yaml")
        self.key = self.keys.add("website")
        self.store, self.is_ready = Store(), True
        self.collector = Collector(self.store)
        ids = (f"api-{number}" for number in range(1_000))
        door = Door(self.keys, self.collector, lambda: NOW, ids.__next__)
        self.client = create_application(door, lambda: self.is_ready).test_client()

    def post(self, path, body, *, key=None, headers=()):
        sent = base64.b64encode(f"{self.key if key is None else key}:".encode()).decode()
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(
            path, data=data, headers={"Authorization": f"Basic {sent}", **dict(headers)}
        )


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path)
    yield found
    found.collector.close(10)


@pytest.mark.parametrize("kind", ["track", "identify", "page", "screen", "group", "alias"])
def test_every_call_is_taken_by_its_name_and_by_its_first_letter(site, kind):
    for path in (kind, kind[0]):
        answer = site.post(f"/v1/{path}", {"userId": "u1", "messageId": path})
        assert (answer.status_code, answer.json) == (
            200,
            {"success": True, "stored": 1, "rejected": []},
        )
    assert [(source, each["type"]) for source, each in site.store.stored] == [("website", kind)] * 2
    assert site.store.stored[0][1]["receivedAt"] == "2026-03-01T12:00:00.000Z"


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b"])
def test_a_batch_is_taken_and_names_what_was_rejected(site, path):
    batch = [{"type": "track", "userId": "u1"}, {"type": "page"}, {"type": "page", "userId": "u2"}]
    answer = site.post(path, {"batch": batch})
    assert answer.status_code == 200
    assert answer.json["stored"] == 2
    assert answer.json["rejected"] == [
        {"index": 1, "field": "userId", "code": "MISSING_ID", "message": "give a user"}
    ]


def test_a_request_of_which_nothing_can_be_stored_is_a_400_that_says_why(site):
    answer = site.post("/v1/track", {"event": "x"})
    assert answer.status_code == 400
    assert answer.json["success"] is False
    assert (answer.json["code"], answer.json["field"]) == ("MISSING_ID", "userId")
    assert answer.json["rejected"][0]["index"] == 0


def test_an_empty_batch_is_nothing_to_do(site):
    assert site.post("/v1/batch", {"batch": []}).json["stored"] == 0
    assert site.store.stored == []


def test_a_write_key_may_come_in_the_body_and_is_not_stored(site):
    body = json.dumps({"userId": "u1", "writeKey": site.key})
    answer = site.client.post("/v1/i", data=body, content_type="text/plain")
    assert answer.status_code == 200
    assert site.key not in json.dumps(site.store.stored)


def test_an_unknown_write_key_is_a_401_that_makes_no_browser_ask_for_a_password(site):
    for answer in (
        site.post("/v1/track", {"userId": "u1"}, key="nobody"),
        site.post("/v1/track", b"not json", key="nobody"),
        site.client.post("/v1/track", data=b'{"userId": "u1", "writeKey": "nobody"}'),
        site.client.post("/v1/track", data=b'{"userId": "u1"}'),
    ):
        assert (answer.status_code, answer.json["code"]) == (401, "UNKNOWN_WRITE_KEY")
        assert not answer.headers["WWW-Authenticate"].startswith("Basic")
    assert site.store.stored == []


def test_a_revoked_key_is_refused_and_a_new_one_let_in_without_a_restart(site):
    assert site.post("/v1/track", {"userId": "u1"}).status_code == 200
    site.keys.revoke(site.keys.all()[0].id)
    assert site.post("/v1/track", {"userId": "u1"}).status_code == 401
    site.key = site.keys.add("website")
    assert site.post("/v1/track", {"userId": "u1"}).status_code == 200


def test_json_that_is_broken_is_a_400_with_the_place(site):
    answer = site.post("/v1/batch", b'{"batch": [}')
    assert (answer.status_code, answer.json["code"]) == (400, "BAD_JSON")
    assert "line 1, column" in answer.json["message"]


def test_a_broken_message_of_a_batch_is_a_400_with_field_and_index_and_nothing_is_stored(site):
    answer = site.post("/v1/batch", {"batch": [{"userId": "u1"}, 7]})
    assert answer.status_code == 400
    assert (answer.json["code"], answer.json["field"], answer.json["index"]) == (
        "BAD_MESSAGE",
        "batch",
        1,
    )
    assert site.store.stored == []


def test_gzip_is_unpacked(site):
    packed = gzip.compress(json.dumps({"userId": "u1"}).encode())
    answer = site.post("/v1/track", packed, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "encoding", "code"),
    [
        (b"not gzip", "gzip", "BAD_GZIP"),
        (gzip.compress(b'{"userId": "u1"}')[:-4], "gzip", "BAD_GZIP"),
        (b"{}", "br", "UNKNOWN_ENCODING"),
        (gzip.compress(b" " * 50_000_000), "gzip", "MESSAGE_TOO_LARGE"),
    ],
    ids=["other bytes", "cut off", "another encoding", "large once unpacked"],
)
def test_what_cannot_be_unpacked_is_a_400(site, body, encoding, code):
    answer = site.post("/v1/track", body, headers={"Content-Encoding": encoding})
    assert (answer.status_code, answer.json["code"]) == (400, code)


def test_the_limits_are_those_of_the_spec_and_a_400(site):
    def of_size(size):
        return b'{"userId": "u"' + b" " * (size - 15) + b"}"

    assert site.post("/v1/track", of_size(MESSAGE_BYTES)).status_code == 200
    answer = site.post("/v1/track", of_size(MESSAGE_BYTES + 1))
    assert (answer.status_code, answer.json["code"]) == (400, "MESSAGE_TOO_LARGE")
    batch = b'{"batch": []' + b" " * (BATCH_BYTES - 13) + b"}"
    assert site.post("/v1/batch", batch).status_code == 200
    answer = site.post("/v1/batch", batch + b" ")
    assert (answer.status_code, answer.json["code"]) == (400, "BATCH_TOO_LARGE")


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (ResourceExhaustedError("full", reason="DOOR_BUSY"), 429),
        (UnavailableError("away", reason="SERVICE_UNREACHABLE"), 503),
        (FailedPreconditionError("disk", reason="DISK_FULL"), 503),
        (CancelledError("stopping", reason="CANCELLED"), 503),
    ],
)
def test_what_may_be_sent_again_says_when(site, failure, status):
    site.store.failure = failure
    answer = site.post("/v1/track", {"userId": "u1"})
    assert (answer.status_code, answer.json["code"]) == (status, failure.reason)
    assert int(answer.headers["Retry-After"]) >= 1
    site.store.failure = None
    assert site.post("/v1/track", {"userId": "u1"}).status_code == 200


def test_a_bug_says_nothing_of_itself(site, caplog):
    site.store.failure = ValueError("secret")
    answer = site.post("/v1/track", {"userId": "u1"})
    assert (answer.status_code, answer.json["code"]) == (500, "INTERNAL")
    assert b"secret" not in answer.data
    assert "secret" in caplog.text


def test_pages_and_methods_that_are_not_there_are_said_in_json(site):
    assert site.client.get("/v2/nothing").json["code"] == "NOT_FOUND"
    answer = site.client.get("/v1/track")
    assert (answer.status_code, answer.json["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert "POST" in answer.headers["Allow"]


def test_browsers_of_any_site_may_send(site):
    asked = site.client.options("/v1/t", headers={"Origin": "https://shop.example"})
    assert asked.status_code == 200
    assert asked.headers["Access-Control-Allow-Origin"] == "*"
    assert "Content-Type" in asked.headers["Access-Control-Allow-Headers"]
    for answer in (site.post("/v1/t", {"userId": "u1"}), site.post("/v1/t", b"", key="no")):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_health_says_whether_events_can_be_stored(site):
    assert site.client.get("/health/live").status_code == 200
    assert site.client.get("/health/ready").status_code == 200
    site.is_ready = False
    assert site.client.get("/health/live").status_code == 200
    assert site.client.get("/health/ready").status_code == 503


def test_a_log_line_and_figures_tell_of_a_request_and_nothing_of_whom_it_is_about(site, caplog):
    caplog.set_level(logging.INFO)
    before = metrics.CONSOLE_REQUESTS.labels("identify", "200")._value.get()
    body = {"userId": "ana@example.com", "traits": {"name": "Ana"}, "messageId": "m77"}
    site.post("/v1/identify?who=ana", body)
    (line,) = [record for record in caplog.records if record.name == "oriel.http"]
    assert (line.method, line.route, line.code) == ("POST", "identify", 200)
    said = json.dumps(vars(line), default=str)
    assert not any(word in said for word in ("ana", "Ana", "m77", "127.0.0.1", site.key))
    assert metrics.CONSOLE_REQUESTS.labels("identify", "200")._value.get() == before + 1


def test_clocks_are_read_once_a_request(tmp_path):
    moments = iter(NOW + timedelta(seconds=second) for second in range(9))
    store, keys = Store(), WriteKeys(tmp_path / "write_keys.yaml")
    collector = Collector(store)
    door = Door(keys, collector, moments.__next__, lambda: "api-1")
    door.take("batch", b'{"batch": [{"userId": "a"}, {"userId": "b"}]}', keys.add("app"))
    assert {each["receivedAt"] for _, each in store.stored} == {"2026-03-01T12:00:00.000Z"}
    collector.close(10)
