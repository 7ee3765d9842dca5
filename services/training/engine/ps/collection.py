"""The whole state of a fit, as servers are asked for it."""

from collections.abc import Iterable

from services.training.engine.local import numbers
from services.training.engine.ps.job import Job
from services.training.engine.ps.messages import Header, control
from services.training.engine.ps.rules import Rules
from services.training.engine.ps.states import Kept, joined, read_state
from services.training.engine.ps.transport import Connection
from services.training.engine.step import TrainState


class Collection:
    """Ranges from all servers; when one of them is lost meanwhile, all are asked again."""

    def __init__(self, job: Job) -> None:
        self._job, self._rules = job, Rules(job)
        self._number = 0
        self._is_open = False
        self._ranges: list[Kept] = []

    def open(self, servers: Iterable[Connection]) -> None:
        """Ask these servers, who stand for all owners."""
        self._is_open = True
        self.repeat(servers)

    def repeat(self, servers: Iterable[Connection]) -> None:
        """Ask these servers from the beginning, if the state is still wanted."""
        if not self._is_open:
            return
        self._number += 1
        self._ranges = []
        for server in set(servers):
            server.send(*control("collect", number=self._number))

    def take(self, header: Header, body: memoryview) -> None:
        """A range has come; those of an earlier question do not count."""
        if header.part == self._number:
            with numbers(self._job.config):
                self._ranges.append(read_state(self._rules, header, body))

    @property
    def is_whole(self) -> bool:
        """Whether all of it is there."""
        wanted = sum(max(vector.size, 1) for vector in self._job.vectors)
        return sum(max(len(kept.values), 1) for kept in self._ranges) >= wanted

    def close(self, like: TrainState, step: int) -> TrainState:
        """The state after so many steps, in the structure of another; nothing more is wanted."""
        with numbers(self._job.config):
            state = joined(self._job, like, self._ranges, step)
        self.cancel()
        return state

    def cancel(self) -> None:
        """It is wanted no longer."""
        self._is_open, self._ranges = False, []
