"""Runs long work on threads and remembers what became of it."""

import builtins
import hashlib
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from shared.errors import CancelledError, InvalidArgumentError, NotFoundError, UnavailableError
from shared.jobs._files import JobFiles
from shared.jobs._job import Job, State, error_of, interrupted
from shared.obs.metrics import JOB_SECONDS, JOBS_RUNNING

_LOG = logging.getLogger(__name__)

# A watcher whose client has gone is noticed when it is next given something.
_HEARTBEAT_SECONDS = 15.0


class JobContext(Protocol):
    """What the work says of itself while it runs."""

    @property
    def is_cancelled(self) -> bool:
        """Whether a caller asked for the work to stop."""

    def progress(self, completed: int, total: int, unit: str, message: str = "") -> None:
        """Say how far the work has come; `total` is 0 while unknown."""

    def update(self, **result: Any) -> None:
        """Add to the result and tell the watchers."""

    def raise_if_cancelled(self) -> None:
        """Stop here when a caller asked for it."""


Work = Callable[[JobContext], Mapping[str, Any]]


class JobStore:
    """The long work of one collection.

    Work is keyed by its request id: work under way or succeeded is returned as it stands, anything
    else (failed, cancelled, cut off by a crash) is started again under the same name.

    Args:
        folder: Where the jobs are remembered.
        collection: First part of every name, e.g. "datasets".
        workers: How many run at once; the others wait.
    """

    def __init__(self, folder: Path, collection: str, *, workers: int = 1) -> None:
        self._files = JobFiles(folder)
        self._collection = collection
        self._changed = threading.Condition()
        self._jobs: dict[str, Job] = {}
        self._stops: dict[str, threading.Event] = {}
        self._running: set[Future[None]] = set()
        self._is_closed = False
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=f"{collection}-job")
        for job in self._files.read_all():
            self._jobs[job.name] = job if job.state.has_ended else interrupted(job)

    def submit(self, request_id: str, request: Mapping[str, Any], work: Work) -> Job:
        """Start work, or return the work that the same request started before.

        Args:
            request_id: Chosen by the caller; empty means a new job every time.
            request: What is asked for, JSON-able; must be equal under an equal id.
            work: Called on a thread of the store; returns what to merge into the result.

        Raises:
            InvalidArgumentError: The id was used for another request.
        """
        name = f"{self._collection}/{_identifier(request_id)}"
        with self._changed:
            self._refuse_when_closed()
            found = self._jobs.get(name)
            if found is not None:
                if _digest(found.request) != _digest(request):
                    raise InvalidArgumentError(
                        f"request_id {request_id!r} was used for another request; choose a new one",
                        reason="REQUEST_ID_REUSED",
                        request_id=request_id,
                        name=name,
                    )
                if found.state is State.SUCCEEDED or not found.state.has_ended:
                    return found
            job = Job(name, request_id, State.PENDING, _now(), request=dict(request))
            self._stops[name] = threading.Event()
            self._put(job, durable=True)
            future = self._pool.submit(self._run, name, work, self._stops[name])
            self._running.add(future)
            future.add_done_callback(self._running.discard)
            return job

    def get(self, name: str) -> Job:
        """Return a job as it stands.

        Raises:
            NotFoundError: There is no such job.
        """
        with self._changed:
            return self._get(name)

    def list(self, page_size: int = 0, page_token: str = "") -> tuple[builtins.list[Job], str]:
        """Return a page of jobs, newest first, and the token of the next page."""
        with self._changed:
            jobs = sorted(self._jobs.values(), key=lambda job: (job.create_time, job.name))
        jobs.reverse()
        names = [job.name for job in jobs]
        if page_token and page_token not in names:
            raise InvalidArgumentError(
                "page_token is not from an earlier page; leave it empty to start over",
                reason="BAD_PAGE_TOKEN",
            )
        start = names.index(page_token) + 1 if page_token else 0
        page = jobs[start : start + (page_size if page_size > 0 else 50)]
        has_more = start + len(page) < len(jobs)
        return page, page[-1].name if has_more and page else ""

    def cancel(self, name: str) -> Job:
        """Ask for work to stop; work that has ended stays as it is."""
        with self._changed:
            job = self._get(name)
            if not job.state.has_ended:
                self._stops[name].set()
                if job.state is State.PENDING:
                    self._put(_ended(job, CancelledError("cancelled", reason="CANCELLED")), True)
            return self._jobs[name]

    def watch(self, name: str) -> Iterator[Job]:
        """Yield a job as it stands, then at changes, until it has ended.

        Changes that come faster than they are read are merged.
        """
        seen: Job | None = None
        while True:
            with self._changed:
                heartbeat = time.monotonic() + _HEARTBEAT_SECONDS
                while self._get(name) is seen and not self._is_closed:
                    if not self._changed.wait(heartbeat - time.monotonic()):
                        break
                seen, is_closed = self._jobs[name], self._is_closed
            yield seen
            if seen.state.has_ended or is_closed:
                return

    def close(self, grace_seconds: float) -> None:
        """Stop all work; what does not stop within the grace is left to be restarted."""
        with self._changed:
            self._is_closed = True
            for name, stop in self._stops.items():
                if not self._jobs[name].state.has_ended:
                    stop.set()
            running = set(self._running)
            self._changed.notify_all()
        self._pool.shutdown(wait=False, cancel_futures=True)
        wait([future for future in running if not future.cancelled()], timeout=grace_seconds)

    def _run(self, name: str, work: Work, stop: threading.Event) -> None:
        with self._changed:
            if self._jobs[name].state.has_ended or self._is_closed:
                return
            self._put(replace(self._jobs[name], state=State.RUNNING), durable=True)
        started = time.perf_counter()
        error: BaseException | None = None
        JOBS_RUNNING.labels(self._collection).inc()
        try:
            result = dict(work(_Context(self, name, stop)))
            json.dumps(result)  # an unwritable result fails here, where it can be told
        except BaseException as caught:  # noqa: BLE001 - whatever it is, the job must end
            error, result = caught, {}
            if error_of(caught).reason == "INTERNAL":
                _LOG.exception("job failed", extra={"job": name})
        JOBS_RUNNING.labels(self._collection).dec()
        with self._changed:
            job = self._jobs[name]
            job = replace(job, result={**job.result, **result})
            is_cut_off = isinstance(error, CancelledError) and bool(self._is_closed)
            self._put(interrupted(job) if is_cut_off else _ended(job, error), durable=True)
            state = self._jobs[name].state.name
        JOB_SECONDS.labels(self._collection, state).observe(time.perf_counter() - started)

    def _change(self, name: str, **changes: Any) -> None:
        with self._changed:
            job = self._jobs[name]
            if "result" in changes:
                changes["result"] = {**job.result, **changes["result"]}
            self._put(replace(job, **changes), durable=False)

    def _put(self, job: Job, durable: bool) -> None:
        if durable:
            self._files.write(job)
        self._jobs[job.name] = job
        self._changed.notify_all()

    def _get(self, name: str) -> Job:
        try:
            return self._jobs[name]
        except KeyError:
            raise NotFoundError(
                f"there is no {name!r}; names look like {self._collection}/0123456789abcdef",
                reason="JOB_NOT_FOUND",
                name=name,
            ) from None

    def _refuse_when_closed(self) -> None:
        if self._is_closed:
            raise UnavailableError("the service is stopping; try again", reason="STOPPING")


class _Context:
    def __init__(self, store: JobStore, name: str, stop: threading.Event) -> None:
        self._store, self._name, self._stop = store, name, stop

    @property
    def is_cancelled(self) -> bool:
        return self._stop.is_set()

    def progress(self, completed: int, total: int, unit: str, message: str = "") -> None:
        self._store._change(
            self._name, completed=completed, total=total, unit=unit, message=message
        )

    def update(self, **result: Any) -> None:
        self._store._change(self._name, result=result)

    def raise_if_cancelled(self) -> None:
        if self._stop.is_set():
            raise CancelledError("cancelled", reason="CANCELLED")


def _ended(job: Job, error: BaseException | None) -> Job:
    if error is None:
        return replace(job, state=State.SUCCEEDED, end_time=_now())
    state = State.CANCELLED if isinstance(error, CancelledError) else State.FAILED
    return replace(job, state=state, error=error_of(error), end_time=_now())


def _identifier(request_id: str) -> str:
    seed = request_id or uuid.uuid4().hex
    return hashlib.sha256(seed.encode()).hexdigest()[:16]


def _digest(request: Mapping[str, Any]) -> str:
    return json.dumps(request, sort_keys=True)


def _now() -> datetime:
    return datetime.now(UTC)
