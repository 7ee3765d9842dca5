"""The queue of one worker group: which micro-batch is computed next, and by whom."""

from collections.abc import Hashable
from dataclasses import dataclass, field

Worker = Hashable


@dataclass(frozen=True, order=True)
class Task:
    """One micro-batch of one step."""

    step: int
    part: int


@dataclass
class TaskQueue:
    """Micro-batches in the order of steps; those of a lost worker are handed out again.

    A step is settled when every server has applied it. Until then a task may have to be computed
    again, even if its worker said that it was done: what it sent may have been lost.

    Args:
        parts: Micro-batches in a step.
        steps: Steps in all.
        ahead: Steps beyond the first one not settled that may be handed out.
    """

    parts: int
    steps: int
    ahead: int
    settled: int = 0
    _next: Task = Task(0, 0)
    _returned: list[Task] = field(default_factory=list)
    _workers: dict[Task, Worker] = field(default_factory=dict)
    _done: set[Task] = field(default_factory=set)

    def start_at(self, step: int) -> None:
        """Begin with that step."""
        self.settled, self._next = step, Task(step, 0)

    def take(self, worker: Worker) -> Task | None:
        """The earliest task that nobody has; None when there is none to be had now."""
        if self._returned:
            task = self._returned.pop(0)
        elif self._next.step < min(self.steps, self.settled + self.ahead + 1):
            task = self._next
            is_last = task.part + 1 == self.parts
            self._next = Task(task.step + 1, 0) if is_last else Task(task.step, task.part + 1)
        else:
            return None
        self._workers[task] = worker
        return task

    @property
    def untouched(self) -> int:
        """The first step of which nothing was handed out."""
        return self._next.step + bool(self._next.part)

    @property
    def is_urgent(self) -> bool:
        """Whether a task was handed out before and waits to be computed again."""
        return bool(self._returned)

    def load(self, worker: Worker) -> int:
        """Tasks that the worker has and has not done."""
        return sum(who == worker and task not in self._done for task, who in self._workers.items())

    def finish(self, task: Task) -> None:
        """Its worker has sent all that it gives."""
        self._done.add(task)

    def settle(self, step: int) -> None:
        """Every server has applied all steps before that one."""
        self.settled = max(self.settled, step)
        self._returned = [task for task in self._returned if task.step >= self.settled]
        self._workers = {t: who for t, who in self._workers.items() if t.step >= self.settled}
        self._done = {task for task in self._done if task.step >= self.settled}

    def give_back(self, worker: Worker) -> None:
        """Hand out again what a lost worker had and no server has settled."""
        self._recall([task for task, who in self._workers.items() if who == worker])

    def give_back_all(self) -> None:
        """Hand out again whatever is not settled: a server lost what it had received."""
        self._recall(list(self._workers))

    def give_back_task(self, worker: Worker, task: Task) -> None:
        """Hand out again what its worker could not compute, unless it is settled."""
        if self._workers.get(task) == worker:
            self._recall([task])

    def stragglers(self) -> list[tuple[Task, Worker]]:
        """Tasks that keep the first step which is not settled from being so."""
        return [
            (task, worker)
            for task, worker in sorted(self._workers.items(), key=lambda item: item[0])
            if task.step == self.settled and task not in self._done
        ]

    def reissue(self, task: Task, worker: Worker) -> None:
        """Let another worker compute it too; what comes first counts."""
        self._workers[task] = worker

    def _recall(self, tasks: list[Task]) -> None:
        for task in tasks:
            del self._workers[task]
            self._done.discard(task)
        self._returned = sorted({*self._returned, *tasks})
