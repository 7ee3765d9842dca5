"""The coordinator of a worker group: loads the servers, hands out tasks, replaces who is lost."""

import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from services.training.engine.fitting import EpochReport
from services.training.engine.ps.collection import Collection
from services.training.engine.ps.job import Job, Order
from services.training.engine.ps.messages import Header, Kind, control, said
from services.training.engine.ps.outcome import Crew, Outcome
from services.training.engine.ps.paces import Paces
from services.training.engine.ps.progress import Progress
from services.training.engine.ps.roster import PartLostError, Roster
from services.training.engine.ps.schedule import Schedule
from services.training.engine.ps.states import divided, send_state
from services.training.engine.ps.tasks import Task, TaskQueue
from services.training.engine.ps.transport import LAST, Connection
from services.training.engine.ps.tuning import CANDIDATES, Tuner
from services.training.engine.standing import Standing, StandingStore
from services.training.engine.step import TrainState
from shared.errors import FailedPreconditionError

ASYNC_AHEAD = 1
"""Steps for each worker that the fastest may be ahead of the slowest where staleness is free.

With four, four workers lacked seven updates on average, and LeNet-5 ended nine points below what
it reaches with one.
"""

STRAGGLER_FACTOR = 4.0
STRAGGLER_SECONDS = 1.0
"""A task is given to a second worker after both this long and so many usual steps."""

_LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class _Event:
    connection: Connection
    header: Header | None
    body: memoryview
    error: Exception | None = None


class Coordinator:
    """Runs one job of one group to the last step.

    Args:
        group: Name of the group on the servers.
        order: The job as JSON, from which nodes build it.
        job: What it means.
        crew: Nodes to wait for.
        checkpoints: Where standings are kept, and gone on from.
        on_settled: Hears up to which step all updates are done.
        on_epoch: Hears of epochs when a standing is made, and of those before the one resumed.
    """

    def __init__(
        self,
        group: str,
        order: Order,
        job: Job,
        crew: Crew,
        checkpoints: StandingStore | None = None,
        on_settled: Callable[[int], None] = lambda _: None,
        on_epoch: Callable[[EpochReport], None] = lambda _: None,
    ) -> None:
        self._group, self._order, self._job, self._crew = group, order, job, crew
        self._checkpoints = checkpoints
        self._on_settled, self._on_epoch = on_settled, on_epoch
        self._events: queue.Queue[_Event] = queue.Queue()
        self._heard: dict[Connection, float] = {}
        self._parted: set[Connection] = set()
        self._looked = time.monotonic()
        self._addresses: dict[Connection, str] = {}
        self._roster = Roster(job.owners, job.sharing.has_seconds)
        self._applicants: list[Connection] = []
        self._workers: list[Connection] = []
        self._paces: Paces[Connection] = Paces()
        self._has_started = False
        self._start_number = 0
        self._collection = Collection(job)

    @property
    def schedule(self) -> Schedule:
        """The fastest schedule so far, or the one that was ordered."""
        return self._tuner.best

    def room(self, header: Header) -> None:
        """Anywhere."""

    def received(self, connection: Connection, header: Header, body: memoryview) -> None:
        """Queue a message for `run`."""
        if connection in self._heard:
            self._heard[connection] = time.monotonic()
        self._events.put(_Event(connection, header, body))

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """Queue the news for `run`."""
        self._events.put(_Event(connection, None, memoryview(b""), error))

    def run(self, start: Standing) -> Outcome:
        """Train to the end, from the last standing kept or else from `start`.

        Workers and servers may join and be lost at any time. Only when a part of the parameters
        is lost with all its copies does training go back to the last standing.

        Raises:
            FailedPreconditionError: A node says that it cannot do its part.
        """
        while True:
            kept = self._checkpoints and self._checkpoints.latest(start)
            try:
                return self._train(kept or start)
            except PartLostError:
                # They come back by themselves and are told everything anew.
                for worker in set(self._heard) - set(self._addresses):
                    self._forget(worker)

    def _train(self, standing: Standing) -> Outcome:
        first, store = int(standing.state.step), self._checkpoints
        self._start(standing.state)
        told = 0
        while not standing.has_ended(self._job.config):
            stop = self._reach_end(standing)
            state = self._collect(standing.state, stop)
            standing = self._progress.advanced(standing, state)
            for report in standing.history[told:]:
                self._on_epoch(report)
            told = len(standing.history)
            if store and store.is_due():
                store.save(standing)
        if store:
            store.wait()
        for connection in list(self._heard):
            connection.send(*control("stop"))
        steps = range(first, int(standing.state.step))
        losses = tuple(self._progress.losses[step] for step in steps)
        return Outcome(standing, losses, self._progress.step_seconds(), self.schedule)

    def _reach_end(self, standing: Standing) -> int:
        """Train on until a standing is due, or the epoch is to be judged; the step reached."""
        job, store, first = self._job, self._checkpoints, int(standing.state.step)
        end = job.total_steps
        if job.valid is not None:
            end = (standing.epoch + 1) * job.steps_per_epoch
        self._queue.steps = end

        def is_due() -> bool:
            return store is not None and self._queue.settled > first and store.is_due()

        self._until(lambda: self._queue.settled >= end or is_due())
        stop = self._queue.steps = min(self._queue.untouched, end)
        self._until(lambda: self._queue.settled >= stop)
        return stop

    def _start(self, state: TrainState) -> None:
        """Give every server its part of the state."""
        job, first, staleness = self._job, int(state.step), self._job.sharing.staleness
        ahead = ASYNC_AHEAD * self._crew.workers if staleness is None else 1 + staleness
        self._queue = TaskQueue(job.config.micro_batches, job.total_steps, ahead)
        self._queue.start_at(first)
        self._tuner = Tuner(first, _candidates(job))
        self._progress = Progress(job)
        self._settled_by = dict.fromkeys(job.owners, -1)
        self._has_started, self._moved_on = False, time.monotonic()
        self._start_number += 1
        self._helped: set[Task] = set()
        self._collection.cancel()
        self._roster.release()
        self._until(lambda: len(self._roster.servers) >= self._crew.servers)
        self._roster.assign()
        for connection in self._roster.servers:
            self._open_server(connection)
        for owner, kept in divided(job, state):
            # With a key it never waits, not even for a server that stopped.
            send_state(self._roster.firsts[owner], owner, kept, key=object())
        for owner, server in self._roster.firsts.items():
            header, body = control("loaded", owner=owner)
            # After the ranges: of their priority.
            server.send(header._replace(priority=LAST), body)

    def _until(self, is_reached: Callable[[], bool]) -> None:
        """Act on what nodes say, and on their silence, until that is so."""
        while not is_reached():
            try:
                event = self._events.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                pass
            else:
                self._handle(event)
            self._look_around()
            self._welcome()
            self._deal()

    def _handle(self, event: _Event) -> None:
        connection = event.connection
        if event.error is not None:
            raise event.error
        if event.header is None:
            self._forget(connection)
            self._parted.discard(connection)
            return
        if connection in self._parted:
            return  # what was still waiting to be read
        self._heard.setdefault(connection, time.monotonic())
        if event.header.kind == Kind.STATE:
            self._collection.take(event.header, event.body)
            return
        message = said(event.body)
        if message["type"] in ("serve", "opened", "settled", "second", "parted", "taken"):
            self._hear_server(connection, message)
        else:
            self._hear_worker(connection, message)

    def _hear_server(self, connection: Connection, message: Mapping[str, Any]) -> None:
        kind, roster = message["type"], self._roster
        if message.get("start", self._start_number) != self._start_number:
            return  # of before training went back
        if kind == "serve":
            self._addresses[connection] = message["address"]
            if roster.firsts:
                self._open_server(connection)
            else:
                roster.servers.append(connection)
        elif kind == "opened":
            if connection not in roster.servers and connection in self._addresses:
                roster.servers.append(connection)
        elif kind == "settled":
            if roster.firsts.get(message["owner"]) is connection:
                self._progress.heard(message["losses"])
                self._settle(message["owner"], message["step"])
        elif kind == "second":
            roster.prepared(message["owner"], connection)
        elif kind == "parted":
            if roster.firsts.get(message["owner"]) is connection:
                roster.part(message["owner"])
                connection.send(*control("alone", owner=message["owner"]))
        elif kind == "taken":
            roster.taken(message["owner"])
            if not roster.taking:
                self._tell_moved()
                self._collection.repeat(roster.firsts.values())

    def _hear_worker(self, connection: Connection, message: Mapping[str, Any]) -> None:
        kind = message["type"]
        if kind == "work":
            self._applicants.append(connection)
        elif kind == "ready":
            self._workers.append(connection)
            if not self._roster.taking:  # servers may have changed since it was told of them
                connection.send(*control("moved", owners=self._owner_addresses()))
        elif kind == "done":
            self._queue.finish(Task(message["step"], message["part"]))
            self._paces.heard(connection, message["seconds"])
        elif kind == "abandoned":
            self._queue.give_back_task(connection, Task(message["step"], message["part"]))
        elif kind == "failed":
            raise FailedPreconditionError(
                f"a node of the group failed: {message['error']}; mend that and start again",
                reason="NODE_FAILED",
                error=message["error"],
            )

    def _forget(self, connection: Connection) -> None:
        """A node is lost: its work goes to others."""
        self._heard.pop(connection, None)
        self._parted.add(connection)
        self._paces.forget(connection)
        connection.drop()
        for waiting in (self._workers, self._applicants):
            if connection in waiting:
                waiting.remove(connection)
                self._queue.give_back(connection)
        if self._addresses.pop(connection, None) is None:
            return
        followed = self._roster.followed_by(connection)
        for owner in self._roster.lose(connection):
            second = self._roster.firsts[owner]
            second.send(*control("take over", owner=owner))
        for owner in followed:
            # One that only stopped has not broken its connections, and would be waited for.
            self._roster.firsts[owner].send(*control("alone", owner=owner))

    def _tell_moved(self) -> None:
        """All owners have a first server again: what the lost one had received is sent anew."""
        for worker in self._workers:
            worker.send(*control("moved", owners=self._owner_addresses()))
        self._queue.give_back_all()

    def _look_around(self) -> None:
        """Part from the silent, find second servers, help stragglers."""
        now = time.monotonic()
        if now - self._looked > self._crew.patience_seconds / 2:
            # It was this process that stood still; nobody could be heard meanwhile.
            self._heard = dict.fromkeys(self._heard, now)
        self._looked = now
        for connection, heard in list(self._heard.items()):
            if now - heard > self._crew.patience_seconds:
                self._forget(connection)
        if self._is_loaded():
            for owner, second in self._roster.new_seconds().items():
                address = self._addresses[second]
                message = control("second", group=self._group, owner=owner, address=address)
                self._roster.firsts[owner].send(*message)
        waited = now - self._moved_on
        if waited > STRAGGLER_SECONDS:
            recent = self._progress.step_seconds()[-20:]
            # The first steps take as long as compiling does.
            if len(recent) > 2 and waited > STRAGGLER_FACTOR * median(recent):
                self._help_stragglers()

    def _help_stragglers(self) -> None:
        """Give what everybody waits for to a second worker, once."""
        for task, slow in self._queue.stragglers():
            others = [worker for worker in self._workers if worker is not slow]
            if others and task not in self._helped:
                self._helped.add(task)
                helper = min(others, key=self._queue.load)
                self._queue.reissue(task, helper)
                self._send_task(helper, task)

    def _open_server(self, connection: Connection) -> None:
        connection.send(
            *control("open", group=self._group, order=self._order, start=self._start_number)
        )

    def _owner_addresses(self) -> dict[int, str]:
        return {owner: self._addresses[first] for owner, first in self._roster.firsts.items()}

    def _is_loaded(self) -> bool:
        return bool(self._roster.firsts) and min(self._settled_by.values()) >= 0

    def _welcome(self) -> None:
        """Tell workers the job once all servers have their parts."""
        if not self._is_loaded() or self._roster.taking:
            return
        for worker in self._applicants:
            owners = self._owner_addresses()
            worker.send(*control("open", group=self._group, order=self._order, owners=owners))
        self._applicants.clear()

    def _deal(self) -> None:
        """Give tasks to who will be done with them first, as long as there is one."""
        self._has_started = self._has_started or len(self._workers) >= self._crew.workers
        if not self._has_started or not self._workers or self._roster.taking:
            return
        while True:
            loads = {worker: self._queue.load(worker) for worker in self._workers}
            worker = self._paces.next_of(loads, is_urgent=self._queue.is_urgent)
            task = None if worker is None else self._queue.take(worker)
            if worker is None or task is None:
                return
            self._send_task(worker, task)

    def _send_task(self, worker: Connection, task: Task) -> None:
        schedule = self._tuner.schedule(task.step)
        worker.send(
            *control(
                "task",
                step=task.step,
                part=task.part,
                schedule=schedule.kind,
                piece_bytes=schedule.piece_bytes,
            )
        )

    def _settle(self, owner: int, step: int) -> None:
        self._settled_by[owner] = step
        settled = min(self._settled_by.values())
        if settled > self._queue.settled:
            self._moved_on = time.monotonic()
            self._on_settled(settled)
        if settled >= 0 and settled not in self._progress.times:
            self._progress.times[settled] = time.perf_counter()
            self._tuner.settled(settled, self._progress.times[settled])
        self._queue.settle(settled)

    def _collect(self, like: TrainState, step: int) -> TrainState:
        """The whole state from the servers, when all of it has had that many steps."""
        self._collection.open(self._roster.firsts.values())
        self._until(lambda: self._collection.is_whole)
        return self._collection.close(like, step)


def _candidates(job: Job) -> tuple[Schedule, ...]:
    """What may be tried; where steps overlap, a trial would not know whose time it takes."""
    if job.sharing.schedule is not None:
        return (job.sharing.schedule,)
    return CANDIDATES if job.sharing.staleness == 0 else (Schedule(),)
