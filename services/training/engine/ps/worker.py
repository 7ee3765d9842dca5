"""A worker: takes micro-batches from its group's queue, pushes gradients stage by stage."""

import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

import jax
import numpy as np

from services.training.engine.layerwise import LayerPrograms
from services.training.engine.local import numbers
from services.training.engine.ps.arrivals import (
    Arrivals,
    OvertakenError,
    PreemptedError,
    Vectors,
)
from services.training.engine.ps.assignments import Assignment, Assignments
from services.training.engine.ps.feed import Feed
from services.training.engine.ps.job import Job
from services.training.engine.ps.messages import Header, Kind, control, said
from services.training.engine.ps.partition import Segment, pieces_of
from services.training.engine.ps.schedule import Schedule
from services.training.engine.ps.tasks import Task
from services.training.engine.ps.transport import Connection, Transport
from services.training.engine.ps.wire import Encoder, Wire
from services.training.engine.rows import NumpyArray
from shared.errors import UnavailableError

Array = jax.Array


class Worker:
    """Computes what it is assigned until it is told to stop.

    Args:
        group: Name of the group that it works for.
        programs: The stages' programs; workers of one process may share them.
        arrivals: Where the servers' values come in.
    """

    def __init__(
        self,
        group: str,
        job: Job,
        programs: LayerPrograms,
        arrivals: Arrivals,
        transport: Transport,
    ) -> None:
        self._group, self._job, self._programs = group, job, programs
        self._arrivals, self._transport = arrivals, transport
        self._feed = Feed(job)
        self._encoder = Encoder()
        self._parameters = [n for n, v in enumerate(job.vectors) if not v.is_state]
        self._states = {v.name: n for n, v in enumerate(job.vectors) if v.is_state}
        self._segments: dict[int, list[Segment]] = {}
        for segment in job.segments:
            self._segments.setdefault(segment.vector, []).append(segment)
        self._assignments = Assignments()
        self._links: dict[str, Connection] = {}
        self._servers: dict[int, Connection] = {}
        self._coordinator: Connection | None = None
        self._is_over = False
        self._error: Exception | None = None

    def join(self, coordinator: Connection, owners: Mapping[str, str]) -> None:
        """Enter the group.

        Args:
            owners: By owner number, as text, the address of the server that stands for it.
        """
        self._coordinator = coordinator
        self._reach(owners)
        coordinator.send(*control("ready"))

    def room(self, header: Header) -> memoryview | None:
        """Values go where they belong, everything else anywhere."""
        return self._arrivals.room(header) if header.kind == Kind.VALUES else None

    def received(self, connection: Connection, header: Header, body: memoryview) -> None:
        """Act on a message."""
        if header.kind == Kind.VALUES:
            if connection in self._links.values():
                with numbers(self._job.config):
                    self._arrivals.received(header, body)
            return
        message = said(body)
        if message["type"] == "task":
            schedule = Schedule(message["schedule"], message["piece_bytes"])
            task = Task(message["step"], message["part"])
            self._assignments.put(Assignment(task, schedule))
            self._arrivals.nudge()
        elif message["type"] == "moved":
            self._reach(message["owners"])
        elif message["type"] == "stop":
            self._is_over = True
            self._stop()

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """Without its coordinator a worker has nothing to do."""
        if error is not None:
            self._fail(error)
        elif connection is self._coordinator:
            self._stop()

    def run(self) -> bool:
        """Compute until stopped: True when training is over, False without a coordinator.

        Raises:
            Exception: What went wrong while computing, or while a message was received.
        """
        with numbers(self._job.config):
            while (assignment := self._assignments.take()) is not None:
                try:
                    self._compute(assignment)
                except PreemptedError:
                    self._assignments.put(assignment)
                except OvertakenError:
                    self._tell("abandoned", assignment.task)
                except Exception as error:  # noqa: BLE001 - told to the coordinator, raised below
                    self._fail(error)
        for link in self._links.values():
            link.close()
        if self._error is not None:
            raise self._error
        return self._is_over

    def _reach(self, owners: Mapping[str, str]) -> None:
        """Connect to the servers of all owners, and part from every other."""
        old, links = self._links, {}
        for address in set(owners.values()):
            # A server just lost is left out: the coordinator will name another.
            with suppress(UnavailableError):
                links[address] = old.get(address) or self._transport.connect(address, self)
        self._links = links  # at once, because other threads read it
        for address in set(links) - set(old):
            links[address].send(*control("join", group=self._group, role="worker"))
        for address in set(old) - set(links):
            old[address].drop()
        self._servers = {
            int(owner): links[address] for owner, address in owners.items() if address in links
        }

    def _fail(self, error: Exception) -> None:
        self._error = error
        if self._coordinator is not None:
            self._coordinator.send(*control("failed", error=repr(error)))
        self._stop()

    def _stop(self) -> None:
        """Let `run` return, also when it waits."""
        self._assignments.close()
        self._arrivals.close()

    def _compute(self, assignment: Assignment) -> None:
        """Run the programs of a micro-batch; its schedule says when what they give leaves."""
        started = time.perf_counter()
        task, kind = assignment.task, assignment.schedule.kind
        part = self._feed.part(task.step, task.part)
        is_wanted = partial(self._is_earliest, task.step)
        vectors = Vectors(self._job, self._arrivals, task.step, is_wanted)
        weights = vectors if kind == "prio" else dict(vectors)
        passed = self._programs.forward(weights, part.batch, part.scale, part.key)
        loss = float(passed.loss)
        given = [(self._states[name], seen) for name, seen in passed.observed.items()]

        def send() -> None:
            while given:
                vector, array = given.pop(0)
                self._push(assignment, vector, np.asarray(array), loss)

        def on_gradient(stage: int, array: Array) -> None:
            given.append((self._parameters[stage], array))
            if kind != "end":
                send()

        if kind == "prio":
            self._programs.backward_lowest_first(passed, on_gradient)
        else:
            self._programs.backward(passed, on_gradient)
        if kind == "end":
            for _, array in given:
                array.block_until_ready()
        send()
        self._tell("done", task, seconds=time.perf_counter() - started - vectors.waited)

    def _is_earliest(self, step: int) -> bool:
        return not self._assignments.has_before(step)

    def _tell(self, kind: str, task: Task, **more: float) -> None:
        if self._coordinator is not None:
            self._coordinator.send(*control(kind, step=task.step, part=task.part, **more))

    def _push(self, assignment: Assignment, vector: int, flat: NumpyArray, loss: float) -> None:
        """Send each owner its part of what a micro-batch gives to a vector."""
        schedule, task = assignment.schedule, assignment.task
        size = schedule.piece(flat.itemsize)
        wire = Wire.FLOAT32 if self._job.vectors[vector].is_state else self._job.sharing.wire
        for segment in self._segments[vector]:
            for piece in pieces_of(segment.start, segment.size, size):
                numbers = flat[piece.start : piece.start + piece.size]
                body = self._encoder.encode(wire, vector, piece.start, numbers)
                header = Header(
                    Kind.GRADIENT,
                    wire=wire,
                    owner=segment.owner,
                    priority=schedule.priority(vector),
                    vector=vector,
                    start=piece.start,
                    size=piece.size,
                    step=task.step,
                    part=task.part,
                    loss=loss,
                    body=len(body),
                )
                if segment.owner in self._servers:
                    self._servers[segment.owner].send(header, body)
