"""Headers say of a message what it is and which trace it belongs to."""

from datetime import UTC, datetime, timedelta, timezone

from shared.bus import CloudEvent, child_trace, cloud_event, new_trace


def test_what_is_written_as_headers_is_read_back():
    time = datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone(timedelta(hours=2)))
    event = CloudEvent("7", "till", "com.segment.track", time, "ada", new_trace())
    assert cloud_event(event.headers()) == event


def test_headers_are_those_of_the_binary_mode():
    names = [name for name, _ in CloudEvent("7", "till", "x").headers()]
    assert names == [
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "content-type",
        "traceparent",
    ]


def test_headers_of_strangers_give_empty_parts():
    found = cloud_event([("ce_id", b"\xff"), ("ce_time", b"noon"), ("traceparent", b"00-0-0-01")])
    assert (found.id, found.time, found.trace) == ("\\xff", None, "")
    assert cloud_event([("ce_time", b"2024-05-06T07:08:09Z")]).time == datetime(
        2024, 5, 6, 7, 8, 9, tzinfo=UTC
    )


def test_a_step_stays_in_its_trace_and_is_a_step_of_its_own():
    trace = new_trace()
    step = child_trace(trace)
    assert step.split("-")[1] == trace.split("-")[1]
    assert step.split("-")[2] != trace.split("-")[2]
    assert child_trace("nonsense").split("-")[1] != trace.split("-")[1]
