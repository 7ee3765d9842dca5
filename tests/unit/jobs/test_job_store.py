"""Long work is started once for each request and outlives its process."""

import threading
from pathlib import Path

import pytest

from shared.errors import (
    CancelledError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from shared.jobs import INTERRUPTED, JobStore, State
from shared.jobs.messages import progress_message, state_message, status_message, time_message


@pytest.fixture
def store(tmp_path):
    made = JobStore(tmp_path, "datasets")
    yield made
    made.close(5.0)


def ended(store, name):
    return list(store.watch(name))[-1]


def test_the_result_of_work_is_kept(store):
    job = store.submit("a", {"x": 1}, lambda context: {"rows": 7})
    done = ended(store, job.name)
    assert (done.state, done.result, done.error) == (State.SUCCEEDED, {"rows": 7}, None)
    assert done.request == {"x": 1}
    assert done.end_time >= done.create_time
    assert store.get(job.name) == done


def test_the_same_request_does_not_run_twice(store):
    runs = []
    work = lambda context: runs.append(1) or {}  # noqa: E731
    first = store.submit("a", {"x": 1}, work)
    ended(store, first.name)
    assert store.submit("a", {"x": 1}, work).state is State.SUCCEEDED
    assert runs == [1]


def test_a_request_under_way_is_returned_not_started_again(store):
    release = threading.Event()
    first = store.submit("a", {}, lambda context: {"released": release.wait(5)})
    again = store.submit("a", {}, lambda context: {"second": True})
    assert again.name == first.name
    release.set()
    assert ended(store, first.name).result == {"released": True}


def test_an_id_used_for_another_request_is_refused(store):
    store.submit("a", {"x": 1}, lambda context: {})
    with pytest.raises(InvalidArgumentError) as caught:
        store.submit("a", {"x": 2}, lambda context: {})
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_names_depend_on_the_request_id_alone(tmp_path):
    names = []
    for folder in ("one", "two"):
        store = JobStore(tmp_path / folder, "datasets")
        names.append(store.submit("a", {}, lambda context: {}).name)
        store.close(5.0)
    assert names[0] == names[1]


def test_requests_without_an_id_are_each_their_own_job(store):
    names = {store.submit("", {}, lambda context: {}).name for _ in range(3)}
    assert len(names) == 3


def test_a_domain_error_keeps_its_reason_and_a_bug_keeps_its_words_to_itself(store):
    def refuse(context):
        raise FailedPreconditionError("too little data", reason="TOO_LITTLE", rule="as_ofs")

    def crash(context):
        raise KeyError("secret")

    refused = ended(store, store.submit("a", {}, refuse).name)
    assert (refused.state, refused.error.reason) == (State.FAILED, "TOO_LITTLE")
    assert refused.error.metadata == {"rule": "as_ofs"}
    crashed = ended(store, store.submit("b", {}, crash).name)
    assert crashed.error.reason == "INTERNAL"
    assert "secret" not in crashed.error.message


def test_a_result_that_json_cannot_carry_fails_the_job(store):
    job = ended(store, store.submit("a", {}, lambda context: {"x": {1, 2}}).name)
    assert (job.state, job.result) == (State.FAILED, {})


@pytest.mark.parametrize("error", [ValueError("no"), CancelledError("stop", reason="CANCELLED")])
def test_work_that_failed_or_was_cancelled_starts_again_under_its_name(store, error):
    def fail(context):
        raise error

    first = ended(store, store.submit("a", {}, fail).name)
    assert first.state is not State.SUCCEEDED
    second = store.submit("a", {}, lambda context: {"ok": 1})
    assert second.name == first.name
    assert ended(store, second.name).result == {"ok": 1}


def test_running_work_learns_that_it_was_cancelled(store):
    started = threading.Event()

    def work(context):
        started.set()
        while not context.is_cancelled:
            threading.Event().wait(0.001)
        context.raise_if_cancelled()
        return {}

    job = store.submit("a", {}, work)
    assert started.wait(5)
    store.cancel(job.name)
    assert ended(store, job.name).state is State.CANCELLED


def test_waiting_work_is_cancelled_at_once_and_never_runs(store):
    release = threading.Event()
    first = store.submit("a", {}, lambda context: {"ok": release.wait(5)})
    waiting = store.submit("b", {}, lambda context: pytest.fail("ran"))
    assert store.cancel(waiting.name).state is State.CANCELLED
    release.set()
    assert ended(store, first.name).state is State.SUCCEEDED
    assert store.cancel(first.name).state is State.SUCCEEDED


def test_watchers_see_progress_and_partial_results(store):
    seen, go = threading.Event(), threading.Event()

    def work(context):
        context.update(losses=[1.0])
        context.progress(3, 10, "epochs", "fitting")
        seen.set()
        go.wait(5)
        return {"model": "m"}

    job = store.submit("a", {}, work)
    assert seen.wait(5)
    watch = store.watch(job.name)
    now = next(watch)
    assert (now.completed, now.total, now.unit, now.message) == (3, 10, "epochs", "fitting")
    assert now.result == {"losses": [1.0]}
    go.set()
    assert list(watch)[-1].result == {"losses": [1.0], "model": "m"}


def test_work_cut_off_by_a_crash_is_told_and_starts_again_under_its_name(tmp_path):
    store = JobStore(tmp_path, "datasets")
    started = threading.Event()

    def work(context):
        started.set()
        while not context.is_cancelled:
            threading.Event().wait(0.001)
        return {"late": True}

    job = store.submit("a", {"x": 1}, work)
    assert started.wait(5)
    after = JobStore(tmp_path, "datasets")  # as a process would that finds the files after a crash
    found = after.get(job.name)
    assert (found.state, found.error.reason) == (State.FAILED, INTERRUPTED)
    again = after.submit("a", {"x": 1}, lambda context: {"rows": 1})
    assert again.name == job.name
    assert ended(after, job.name).result == {"rows": 1}
    after.close(5.0)
    store.close(5.0)


def test_finished_work_is_found_after_a_restart(tmp_path):
    store = JobStore(tmp_path, "datasets")
    done = ended(store, store.submit("a", {}, lambda context: {"rows": 1}).name)
    store.close(5.0)
    after = JobStore(tmp_path, "datasets")
    assert after.submit("a", {}, lambda context: pytest.fail("ran")) == done
    after.close(5.0)


def test_half_written_files_are_swept_away(tmp_path: Path):
    (tmp_path / ".0123.partial").write_text("{")
    JobStore(tmp_path, "datasets").close(1.0)
    assert list(tmp_path.iterdir()) == []


def test_closing_leaves_running_work_to_be_restarted(tmp_path):
    store = JobStore(tmp_path, "datasets")
    started = threading.Event()

    def work(context):
        started.set()
        while True:
            context.raise_if_cancelled()

    job = store.submit("a", {}, work)
    assert started.wait(5)
    store.close(5.0)
    assert store.get(job.name).error.reason == INTERRUPTED
    with pytest.raises(UnavailableError):
        store.submit("b", {}, work)


def test_pages_go_from_the_newest_to_the_oldest(store):
    names = [store.submit(str(i), {}, lambda context: {}).name for i in range(5)]
    first, token = store.list(page_size=3)
    second, last = store.list(page_size=3, page_token=token)
    assert [job.name for job in first + second] == names[::-1]
    assert last == ""
    with pytest.raises(InvalidArgumentError):
        store.list(page_token="made-up")


def test_an_unknown_name_is_not_found(store):
    with pytest.raises(NotFoundError, match="datasets/"):
        store.get("datasets/nothing")


def test_messages_say_what_the_job_says(store):
    def refuse(context):
        context.progress(1, 2, "rows", "reading")
        raise FailedPreconditionError("too little", reason="TOO_LITTLE")

    job = ended(store, store.submit("a", {}, refuse).name)
    assert state_message(job) == 4
    assert progress_message(job).completed_count == 1
    status = status_message(job)
    assert (status.code, status.message) == (9, "too little")
    assert time_message(job.end_time).ToDatetime(job.end_time.tzinfo) == job.end_time
    assert time_message(None) is None
