"""Long work is followed to its end, and its failure is raised as what it was."""

from datetime import UTC, date, datetime

import pytest
from google.rpc.status_pb2 import Status

from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2
from oriel.ingestion.v1 import ingestion_pb2
from pipelines.clients import follow
from pipelines.main_job import (
    MainJob,
    content_of,
    midnight_after,
    midnight_of,
    prediction_files,
    prediction_time,
    request_id,
)
from shared.errors import CancelledError, FailedPreconditionError
from shared.rpc.errors import to_status


def dataset(state, **fields):
    return feature_pb2.Dataset(name="datasets/a", state=state, **fields)


def test_every_change_is_reported_and_the_last_is_returned():
    changes = [dataset(common_pb2.STATE_RUNNING), dataset(common_pb2.STATE_SUCCEEDED, row_count=3)]
    seen = []
    assert follow(iter(changes), seen.append).row_count == 3
    assert seen == changes


def test_a_refused_job_raises_the_reason_it_was_refused_for():
    error = to_status(FailedPreconditionError("too little", reason="TOO_LITTLE", rule="as_ofs"))
    with pytest.raises(FailedPreconditionError) as caught:
        follow([dataset(common_pb2.STATE_FAILED, error=error)], lambda change: None)
    assert (caught.value.reason, caught.value.metadata) == ("TOO_LITTLE", {"rule": "as_ofs"})


def test_a_bug_in_a_job_is_not_taken_for_a_mistake_of_the_caller():
    failed = dataset(common_pb2.STATE_FAILED, error=Status(code=13, message="internal error"))
    with pytest.raises(RuntimeError, match="datasets/a"):
        follow([failed], lambda change: None)


def test_cancelled_work_says_so():
    with pytest.raises(CancelledError):
        follow([dataset(common_pb2.STATE_CANCELLED)], lambda change: None)


@pytest.mark.parametrize("changes", [[], [dataset(common_pb2.STATE_RUNNING)]])
def test_a_watch_that_ends_too_early_asks_to_try_again(changes):
    with pytest.raises(FailedPreconditionError) as caught:
        follow(changes, lambda change: None)
    assert caught.value.reason == "STOPPED_EARLY"


@pytest.mark.parametrize(
    ("last", "zone", "expected"),
    [
        ("2011-09-09T12:50:00", "UTC", "2011-09-10T00:00:00"),
        ("2011-09-09T00:00:00", "UTC", "2011-09-10T00:00:00"),
        ("2011-09-09T23:30:00", "Europe/London", "2011-09-10T23:00:00"),
        ("2011-09-10T03:00:00", "America/New_York", "2011-09-10T04:00:00"),
    ],
)
def test_the_job_predicts_from_the_first_midnight_after_the_last_event(last, zone, expected):
    moment = datetime.fromisoformat(last).replace(tzinfo=UTC)
    assert midnight_after(moment, zone).isoformat() == f"{expected}+00:00"


def test_a_day_named_is_the_first_instant_of_that_day_in_the_zone():
    assert midnight_of(date(2025, 7, 1), "Asia/Tokyo") == datetime(2025, 6, 30, 15, tzinfo=UTC)
    held = ingestion_pb2.GetWorkspaceSummaryResponse(event_count=1, time_zone="UTC")
    job = MainJob(events="x", as_of=date(2025, 7, 1))
    assert prediction_time(held, job.as_of) == datetime(2025, 7, 1, tzinfo=UTC)


def test_a_workspace_without_events_cannot_be_learned_from():
    with pytest.raises(FailedPreconditionError) as caught:
        prediction_time(ingestion_pb2.GetWorkspaceSummaryResponse())
    assert caught.value.reason == "NO_EVENTS"


def test_equal_work_has_equal_ids_and_other_work_has_others(tmp_path):
    assert request_id("run", "a", 1) == request_id("run", "a", 1)
    assert len({request_id("run", "a", 1), request_id("run", "a1"), request_id("x", "a", 1)}) == 3
    file = tmp_path / "events.csv"
    file.write_text("a")
    before = content_of(str(file))
    file.write_text("ab")
    assert content_of(str(file)) != before
    assert content_of("s3://bucket/x") == "s3://bucket/x"


def test_the_questions_are_the_shipped_prediction_files():
    assert ["name: churn_90d" in text for text in prediction_files()] == [True, False, False]
