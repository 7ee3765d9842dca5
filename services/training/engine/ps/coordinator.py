"""The coordinator of a worker group: loads the servers, hands out tasks, collects the result."""

import queue
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from services.training.engine.local import numbers
from services.training.engine.ps.job import Job
from services.training.engine.ps.messages import Header, Kind, control, said
from services.training.engine.ps.rules import Rules
from services.training.engine.ps.schedule import Schedule
from services.training.engine.ps.states import Kept, divided, joined, read_state, send_state
from services.training.engine.ps.tasks import Task, TaskQueue
from services.training.engine.ps.transport import Connection
from services.training.engine.step import TrainState
from shared.errors import FailedPreconditionError, UnavailableError

LEASES = 2
"""Tasks a worker has at a time: one under way, the next one known."""


@dataclass(frozen=True)
class Outcome:
    """What a group's training gave.

    Args:
        losses: Mean loss of each step.
        step_seconds: Time from one settled step to the next.
    """

    state: TrainState
    losses: tuple[float, ...]
    step_seconds: tuple[float, ...]


@dataclass(frozen=True)
class _Event:
    connection: Connection
    header: Header | None
    body: memoryview
    error: Exception | None = None


@dataclass
class _Progress:
    """What has been settled and when."""

    settled_by: dict[Connection, int]
    losses: dict[Task, float] = field(default_factory=dict)
    times: dict[int, float] = field(default_factory=dict)


class Coordinator:
    """Runs one job of one group from a state to the last step.

    Args:
        group: Name of the group on the servers.
        job: What to train.
        servers: The connection of each owner number.
        workers: Workers to wait for before the first task is handed out.
    """

    def __init__(self, group: str, job: Job, workers: int) -> None:
        self._group, self._job, self._expected = group, job, workers
        self._events: queue.Queue[_Event] = queue.Queue()
        self._workers: list[Connection] = []
        ahead = 1 if job.sharing.staleness is None else 1 + job.sharing.staleness
        self._queue = TaskQueue(job.config.micro_batches, job.total_steps, ahead)

    def room(self, header: Header) -> memoryview:
        """Memory for a message."""
        return memoryview(bytearray(header.body))

    def received(self, connection: Connection, header: Header, body: memoryview) -> None:
        """Queue a message for `run`."""
        self._events.put(_Event(connection, header, body))

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """Queue the news for `run`."""
        self._events.put(_Event(connection, None, memoryview(b""), error))

    def run(self, state: TrainState, servers: Mapping[int, Connection]) -> Outcome:
        """Train from a state to the end; workers may join before and during it."""
        job = self._job
        first = int(state.step)
        self._queue.start_at(first)
        self._progress = _Progress(dict.fromkeys(servers.values(), -1))
        for connection in self._progress.settled_by:
            connection.send(*control("join", group=self._group, role="coordinator"))
        for owner, kept in divided(job, state):
            send_state(servers[owner], kept)
        while self._queue.settled < job.total_steps:
            self._handle(self._events.get())
            self._deal()
        ranges = self._collect()
        for worker in self._workers:
            worker.send(*control("stop"))
        with numbers(job.config):
            after = joined(job, state, ranges, job.total_steps)
        return Outcome(after, *self._measured(first))

    def _handle(self, event: _Event) -> None:
        if event.header is None:
            raise event.error or UnavailableError(
                "a node of the group went away", reason="NODE_LOST"
            )
        message = said(event.body)
        kind = message["type"]
        if kind == "join":
            self._workers.append(event.connection)
        elif kind == "settled":
            self._settle(event.connection, message["step"])
        elif kind == "done":
            task = Task(message["step"], message["part"])
            self._queue.finish(task)
            self._progress.losses[task] = message["loss"]
        elif kind == "abandoned":
            self._queue.give_back_task(Task(message["step"], message["part"]))
        elif kind == "failed":
            raise FailedPreconditionError(
                f"a node of the group failed: {message['error']}; mend that and start again",
                reason="NODE_FAILED",
                error=message["error"],
            )

    def _settle(self, server: Connection, step: int) -> None:
        progress = self._progress
        progress.settled_by[server] = step
        settled = min(progress.settled_by.values())
        if settled not in progress.times:
            progress.times[settled] = time.perf_counter()
        self._queue.settle(settled)

    def _deal(self) -> None:
        """Give a task to the worker with least to do, as long as there is one for it."""
        if len(self._workers) < self._expected:
            return
        while True:
            loads = [self._queue.load(worker) for worker in self._workers]
            number = int(np.argmin(loads))
            if loads[number] >= LEASES:
                return
            worker = self._workers[number]
            task = self._queue.take(worker)
            if task is None:
                return
            worker.send(*_told(task, self._job.sharing.schedule or Schedule()))

    def _collect(self) -> list[Kept]:
        """The whole state from the servers."""
        with numbers(self._job.config):
            rules = Rules(self._job)
            for connection in self._progress.settled_by:
                connection.send(*control("collect"))
            missing = sum(max(vector.size, 1) for vector in self._job.vectors)
            ranges = []
            while missing:
                event = self._events.get()
                if event.header is not None and event.header.kind == Kind.STATE:
                    ranges.append(read_state(rules, event.header, event.body))
                    missing -= max(event.header.size, 1)
                else:
                    self._handle(event)
            return ranges

    def _measured(self, first: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Losses and durations of steps."""
        steps = range(first, self._job.total_steps)
        losses = []
        for step in steps:
            total = self._job.dtype.type(0)
            for part in range(self._job.config.micro_batches):
                total = total + self._job.dtype.type(self._progress.losses[Task(step, part)])
            losses.append(float(total))
        times = self._progress.times
        reached = sorted(times)
        seconds = [
            (times[later] - times[earlier]) / (later - earlier)
            for earlier, later in pairwise(reached)
        ]
        return tuple(losses), tuple(seconds)


def _told(task: Task, schedule: Schedule) -> tuple[Header, Any]:
    return control(
        "task",
        step=task.step,
        part=task.part,
        schedule=schedule.kind,
        piece_bytes=schedule.piece_bytes,
    )
