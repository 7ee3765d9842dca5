"""What the door makes of a request of the Segment spec."""

import json

import pytest

from services.console.domain import messages
from shared.errors import InvalidArgumentError

NOW = "2026-03-01T12:00:00.000Z"


def read(request, kind=messages.BATCH, ids=("api-1", "api-2", "api-3")):
    found = messages.messages(request, kind, received_at=NOW, new_id=iter(ids).__next__)
    return [json.loads(each) for each in found]


def refusal(call):
    with pytest.raises(InvalidArgumentError) as caught:
        call()
    return caught.value


def test_a_message_goes_on_unchanged_but_for_type_arrival_and_the_key():
    sent = {"userId": "u1", "event": "Seen", "messageId": "m1", "properties": {"a": [1, None]}}
    assert read({**sent, "writeKey": "k", "type": "page", "receivedAt": "1999"}, "track") == [
        {**sent, "type": "track", "receivedAt": NOW}
    ]


@pytest.mark.parametrize("missing", [{}, {"messageId": None}, {"messageId": ""}])
def test_a_message_without_an_id_is_given_one(missing):
    assert read({"userId": "u1", **missing}, "identify")[0]["messageId"] == "api-1"


def test_each_message_of_a_batch_has_its_own_type_id_and_what_the_batch_says_of_all():
    one, two = read(
        {
            "batch": [
                {"type": "page", "userId": "u1", "messageId": "m1", "context": {"ip": "192.0.2.1"}},
                {"type": "track", "userId": "u1", "event": "x", "sentAt": "own", "writeKey": "k"},
            ],
            "context": {"ip": "192.0.2.9", "locale": "fi"},
            "sentAt": "2026-03-01T11:59:58Z",
            "writeKey": "k",
        }
    )
    assert (one["type"], one["messageId"], one["sentAt"]) == ("page", "m1", "2026-03-01T11:59:58Z")
    assert one["context"] == {"ip": "192.0.2.1", "locale": "fi"}
    assert (two["type"], two["messageId"], two["sentAt"]) == ("track", "api-1", "own")
    assert two["context"] == {"ip": "192.0.2.9", "locale": "fi"}
    assert "writeKey" not in two


def test_a_context_that_is_no_object_is_left_for_ingestion_to_name():
    assert read({"batch": [{"context": "phone"}], "context": {"a": 1}})[0]["context"] == "phone"


def test_a_body_that_is_no_json_is_refused_with_the_place():
    error = refusal(lambda: messages.parse(b'{"userId": "u1",\n "event" "x"}'))
    assert (error.reason, error.metadata["line"]) == ("BAD_JSON", "2")
    assert "u1" not in error.message


@pytest.mark.parametrize("body", [b"[]", b"3", b'"text"', b"null", b"", b"\xff"])
def test_a_body_that_is_no_object_is_refused(body):
    assert refusal(lambda: messages.parse(body)).reason == "BAD_JSON"


@pytest.mark.parametrize("request_", [{}, {"batch": {}}, {"batch": None}])
def test_a_batch_that_is_no_list_is_refused_by_field(request_):
    error = refusal(lambda: read(request_))
    assert (error.reason, error.metadata["field"]) == ("BAD_BATCH", "batch")


def test_a_message_that_is_no_object_is_refused_by_its_index():
    error = refusal(lambda: read({"batch": [{"userId": "u"}, ["track"]]}))
    assert (error.reason, error.metadata["index"]) == ("BAD_MESSAGE", "1")


def test_a_message_of_32_kb_passes_and_one_byte_more_is_refused_by_its_index():
    fits = {"event": "x" * (messages.MESSAGE_BYTES - len('{"event":""}'))}
    assert len(read({"batch": [fits]})) == 1
    error = refusal(lambda: read({"batch": [{}, {"event": fits["event"] + "x"}]}))
    assert (error.reason, error.metadata["index"]) == ("MESSAGE_TOO_LARGE", "1")


def test_more_messages_than_a_batch_may_have_are_refused():
    many = {"batch": [{}] * (messages.MOST_MESSAGES + 1)}
    assert refusal(lambda: read(many)).reason == "TOO_MANY_MESSAGES"


def test_what_a_batch_says_of_all_cannot_blow_it_up():
    wide = {"batch": [{"messageId": "m"}] * 1_000, "context": {"page": "x" * 20_000}}
    assert refusal(lambda: read(wide)).reason == "BATCH_TOO_LARGE"


def test_a_write_key_is_text_or_none():
    assert messages.write_key({"writeKey": "k"}) == "k"
    assert messages.write_key({"writeKey": ["k"]}) == messages.write_key({}) == ""
