"""The coordinator of a worker group: loads the servers, hands out tasks, collects the result."""

import queue
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from services.training.engine.local import numbers
from services.training.engine.ps.job import Job, Order
from services.training.engine.ps.messages import Header, Kind, control, said
from services.training.engine.ps.rules import Rules
from services.training.engine.ps.schedule import Schedule
from services.training.engine.ps.states import Kept, divided, joined, read_state, send_state
from services.training.engine.ps.tasks import Task, TaskQueue
from services.training.engine.ps.transport import Connection
from services.training.engine.ps.tuning import CANDIDATES, Tuner
from services.training.engine.step import TrainState
from shared.errors import FailedPreconditionError, UnavailableError

ASYNC_AHEAD = 4
"""Steps for each worker that the fastest may be ahead of the slowest where staleness is free."""

LEASES = 2
"""Tasks a worker has at a time: one under way, the next one known."""


@dataclass(frozen=True)
class Outcome:
    """What a group's training gave.

    Args:
        losses: Mean loss of each step.
        step_seconds: Time from one settled step to the next.
        schedule: The fastest one, or the one that was ordered.
    """

    state: TrainState
    losses: tuple[float, ...]
    step_seconds: tuple[float, ...]
    schedule: Schedule


@dataclass(frozen=True)
class Crew:
    """How many nodes make a group complete."""

    workers: int
    servers: int


@dataclass(frozen=True)
class _Event:
    connection: Connection
    header: Header | None
    body: memoryview
    error: Exception | None = None


class Coordinator:
    """Runs one job of one group from a state to the last step.

    Args:
        group: Name of the group on the servers.
        order: The job as JSON, from which nodes build it.
        job: What it means.
        crew: Nodes to wait for.
    """

    def __init__(self, group: str, order: Order, job: Job, crew: Crew) -> None:
        self._group, self._order, self._job, self._crew = group, order, job, crew
        self._events: queue.Queue[_Event] = queue.Queue()
        self._servers: dict[Connection, str] = {}
        self._applicants: list[Connection] = []
        self._workers: list[Connection] = []
        self._settled_by: dict[Connection, int] = {}
        self._losses: dict[Task, float] = {}
        self._times: dict[int, float] = {}
        staleness = job.sharing.staleness
        ahead = ASYNC_AHEAD * crew.workers if staleness is None else 1 + staleness
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

    def run(self, state: TrainState) -> Outcome:
        """Train from a state to the end; workers may join before and during it.

        Raises:
            FailedPreconditionError: A node says that it cannot do its part.
        """
        job, first = self._job, int(state.step)
        self._queue.start_at(first)
        self._tuner = Tuner(first, _candidates(job))
        while len(self._servers) < self._crew.servers:
            self._handle(self._events.get())
        self._load(state)
        while self._queue.settled < job.total_steps:
            self._handle(self._events.get())
            self._welcome()
            self._deal()
        ranges = self._collect()
        for connection in [*self._workers, *self._servers]:
            connection.send(*control("stop"))
        with numbers(job.config):
            after = joined(job, state, ranges, job.total_steps)
        return Outcome(after, self._mean_losses(first), self._step_seconds(), self._tuner.best)

    def _load(self, state: TrainState) -> None:
        """Give every server its part of the state."""
        servers = list(self._servers)
        for connection in servers:
            self._settled_by[connection] = -1
            connection.send(*control("open", group=self._group, order=self._order))
        self._owners = {
            owner: servers[owner % len(servers)] for owner in range(self._job.sharing.owners)
        }
        for owner, kept in divided(self._job, state):
            send_state(self._owners[owner], kept)

    def _welcome(self) -> None:
        """Tell workers the job once all servers have it."""
        if min(self._settled_by.values()) < 0:
            return
        owners = {owner: self._servers[server] for owner, server in self._owners.items()}
        for worker in self._applicants:
            worker.send(*control("open", group=self._group, order=self._order, owners=owners))
        self._applicants.clear()

    def _handle(self, event: _Event) -> None:
        if event.header is None:
            raise event.error or UnavailableError(
                "a node of the group went away", reason="NODE_LOST"
            )
        message = said(event.body)
        kind = message["type"]
        if kind == "serve":
            self._servers[event.connection] = message["address"]
        elif kind == "work":
            self._applicants.append(event.connection)
        elif kind == "ready":
            self._workers.append(event.connection)
        elif kind == "settled":
            self._settle(event.connection, message["step"])
        elif kind == "done":
            task = Task(message["step"], message["part"])
            self._queue.finish(task)
            self._losses[task] = message["loss"]
        elif kind == "abandoned":
            self._queue.give_back_task(Task(message["step"], message["part"]))
        elif kind == "failed":
            raise FailedPreconditionError(
                f"a node of the group failed: {message['error']}; mend that and start again",
                reason="NODE_FAILED",
                error=message["error"],
            )

    def _settle(self, server: Connection, step: int) -> None:
        self._settled_by[server] = step
        settled = min(self._settled_by.values())
        if settled not in self._times:
            self._times[settled] = time.perf_counter()
            self._tuner.settled(settled, self._times[settled])
        self._queue.settle(settled)

    def _deal(self) -> None:
        """Give a task to the worker with least to do, as long as there is one for it."""
        if len(self._workers) < self._crew.workers:
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
            worker.send(*_told(task, self._tuner.schedule(task.step)))

    def _collect(self) -> list[Kept]:
        """The whole state from the servers."""
        with numbers(self._job.config):
            rules = Rules(self._job)
            for connection in self._servers:
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

    def _mean_losses(self, first: int) -> tuple[float, ...]:
        """The loss of each step, summed in the order of micro-batches."""
        number, parts = self._job.dtype.type, range(self._job.config.micro_batches)
        losses = []
        for step in range(first, self._job.total_steps):
            total = number(0)
            for part in parts:
                total += number(self._losses[Task(step, part)])
            losses.append(float(total))
        return tuple(losses)

    def _step_seconds(self) -> tuple[float, ...]:
        reached = sorted(step for step in self._times if step >= 0)
        return tuple(
            (self._times[later] - self._times[earlier]) / (later - earlier)
            for earlier, later in pairwise(reached)
        )


def _candidates(job: Job) -> tuple[Schedule, ...]:
    """What may be tried; where steps overlap, a trial would not know whose time it takes."""
    if job.sharing.schedule is not None:
        return (job.sharing.schedule,)
    return CANDIDATES if job.sharing.staleness == 0 else (Schedule(),)


def _told(task: Task, schedule: Schedule) -> tuple[Header, Any]:
    return control(
        "task",
        step=task.step,
        part=task.part,
        schedule=schedule.kind,
        piece_bytes=schedule.piece_bytes,
    )
