"""Tasks as workers are told of them, the earliest first."""

import heapq
import threading
from dataclasses import dataclass

from services.training.engine.ps.schedule import Schedule
from services.training.engine.ps.tasks import Task


@dataclass(frozen=True)
class Assignment:
    """A task and how its step is to go."""

    task: Task
    schedule: Schedule


class Assignments:
    """What a worker still has to compute: of an earlier step before what came earlier."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Task, int, Assignment]] = []
        self._turn = 0
        self._is_closed = False
        self._changed = threading.Condition()

    def put(self, assignment: Assignment) -> None:
        """Add one."""
        with self._changed:
            heapq.heappush(self._waiting, (assignment.task, self._turn, assignment))
            self._turn += 1
            self._changed.notify_all()

    def take(self) -> Assignment | None:
        """The earliest, when there is one; None after `close`."""
        with self._changed:
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            return None if self._is_closed else heapq.heappop(self._waiting)[2]

    def has_before(self, step: int) -> bool:
        """Whether something of an earlier step waits."""
        with self._changed:
            return bool(self._waiting) and self._waiting[0][0].step < step

    def close(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
