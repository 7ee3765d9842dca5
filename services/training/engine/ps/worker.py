"""A worker: takes micro-batches from its group's queue, pushes gradients layer by layer."""

import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

from services.training.engine.layerwise import LayerPrograms
from services.training.engine.local import numbers
from services.training.engine.ps.arrivals import Arrivals, OvertakenError, Vectors
from services.training.engine.ps.feed import Feed
from services.training.engine.ps.job import Job
from services.training.engine.ps.messages import Header, Kind, control, said
from services.training.engine.ps.partition import Segment, pieces_of
from services.training.engine.ps.schedule import Schedule
from services.training.engine.ps.tasks import Task
from services.training.engine.ps.transport import Connection
from services.training.engine.ps.wire import Encoder, Wire

Array = jax.Array


@dataclass(frozen=True)
class Assignment:
    """A task as a worker is told of it."""

    task: Task
    schedule: Schedule


class _Outgoing(NamedTuple):
    """What one micro-batch gives to one vector, or its loss; it may still be in computation."""

    assignment: Assignment
    vector: int | None
    array: Array


class Worker:
    """Computes what it is assigned until it is told to stop.

    Args:
        programs: The layers' programs; workers of one process may share them.
        arrivals: Where the servers' values come in.
    """

    def __init__(self, job: Job, programs: LayerPrograms, arrivals: Arrivals) -> None:
        self._job, self._programs, self._arrivals = job, programs, arrivals
        self._feed = Feed(job)
        self._encoder = Encoder()
        self._parameters = {v.layer: n for n, v in enumerate(job.vectors) if not v.is_state}
        self._states = {v.name: n for n, v in enumerate(job.vectors) if v.is_state}
        self._segments: dict[int, list[Segment]] = {}
        for segment in job.segments:
            self._segments.setdefault(segment.vector, []).append(segment)
        self._assignments: queue.Queue[Assignment | None] = queue.Queue()
        self._servers: dict[int, Connection] = {}
        self._coordinator: Connection | None = None
        self._error: Exception | None = None

    def join(self, group: str, coordinator: Connection, servers: Mapping[int, Connection]) -> None:
        """Enter a group.

        Args:
            servers: By owner number of the job's segments.
        """
        self._coordinator, self._servers = coordinator, dict(servers)
        for connection in set(servers.values()):
            connection.send(*control("join", group=group))
        coordinator.send(*control("ready"))

    def room(self, header: Header) -> memoryview:
        """Values go where they belong, everything else in memory of its own."""
        if header.kind == Kind.VALUES:
            return self._arrivals.room(header)
        return memoryview(bytearray(header.body))

    def received(self, connection: Connection, header: Header, body: memoryview) -> None:  # noqa: ARG002
        """Act on a message."""
        if header.kind == Kind.VALUES:
            with numbers(self._job.config):
                self._arrivals.received(header, body)
            return
        message = said(body)
        if message["type"] == "task":
            schedule = Schedule(message["schedule"], message["piece_bytes"])
            task = Task(message["step"], message["part"])
            self._assignments.put(Assignment(task, schedule))
        elif message["type"] == "stop":
            self.stop()

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """Without its coordinator a worker has nothing to do."""
        if error is not None:
            self._fail(error)
        elif connection is self._coordinator:
            self.stop()

    def _fail(self, error: Exception) -> None:
        self._error = error
        if self._coordinator is not None:
            self._coordinator.send(*control("failed", error=repr(error)))
        self.stop()

    def stop(self) -> None:
        """Let `run` return, also when it waits."""
        self._assignments.put(None)
        self._arrivals.close()

    def run(self) -> None:
        """Compute until stopped.

        Raises:
            Exception: What went wrong while a message was received.
        """
        outgoing: queue.Queue[_Outgoing | None] = queue.Queue(16)
        pusher = threading.Thread(target=self._push_all, args=(outgoing,), name="push", daemon=True)
        pusher.start()
        with numbers(self._job.config):
            while (assignment := self._assignments.get()) is not None:
                try:
                    self._compute(assignment, outgoing)
                except OvertakenError:
                    self._tell("abandoned", assignment.task)
        outgoing.put(None)
        pusher.join()
        if self._error is not None:
            raise self._error

    def _compute(self, assignment: Assignment, outgoing: "queue.Queue[_Outgoing | None]") -> None:
        task, kind = assignment.task, assignment.schedule.kind
        part = self._feed.part(task.step, task.part)
        weights: Mapping[str, Array] = Vectors(self._job, self._arrivals, task.step)
        if kind != "prio":
            weights = dict(weights)
        passed = self._programs.forward(weights, part.batch, part.scale, part.key)
        late: list[_Outgoing] = []
        send = late.append if kind == "end" else outgoing.put
        for name, seen in passed.observed.items():
            send(_Outgoing(assignment, self._states[name], seen))
        self._programs.backward(
            passed,
            lambda layer, array: send(_Outgoing(assignment, self._parameters[layer], array)),
        )
        for each in late:
            each.array.block_until_ready()
        for each in [*late, _Outgoing(assignment, None, passed.loss)]:
            outgoing.put(each)

    def _push_all(self, outgoing: "queue.Queue[_Outgoing | None]") -> None:
        """Send what was computed, in the order of its computation."""
        while (entry := outgoing.get()) is not None:
            if self._error is not None:
                continue
            try:
                if entry.vector is None:
                    loss = np.asarray(entry.array).item()
                    self._tell("done", entry.assignment.task, loss=loss)
                else:
                    self._push(entry.assignment, entry.vector, entry.array)
            except Exception as error:  # noqa: BLE001 - raised again by `run`
                self._fail(error)

    def _tell(self, kind: str, task: Task, **more: object) -> None:
        if self._coordinator is not None:
            self._coordinator.send(*control(kind, step=task.step, part=task.part, **more))

    def _push(self, assignment: Assignment, vector: int, array: Array) -> None:
        """Send each owner its part of a vector's gradient, as soon as it is computed."""
        schedule, task = assignment.schedule, assignment.task
        flat = np.asarray(array)
        size = schedule.piece(flat.itemsize)
        wire = Wire.FLOAT32 if self._job.vectors[vector].is_state else self._job.sharing.wire
        for segment in self._segments[vector]:
            for piece in pieces_of(segment.start, segment.size, size):
                numbers = flat[piece.start : piece.start + piece.size]
                body = self._encoder.encode(wire, vector, piece.start, numbers)
                header = Header(
                    Kind.GRADIENT,
                    wire=wire,
                    priority=schedule.priority(vector),
                    vector=vector,
                    start=piece.start,
                    size=piece.size,
                    step=task.step,
                    part=task.part,
                    body=len(body),
                )
                self._servers[segment.owner].send(header, body)
