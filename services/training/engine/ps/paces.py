"""Which worker gets the next task: the one that will be done with it first."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

Worker = TypeVar("Worker", bound=Hashable)

LEASES = 2
"""Tasks a worker has at a time: one under way, the next one known."""

_KEPT = 0.8
_MOST_AHEAD = LEASES + 2
"""In tasks of the fastest worker: who would take longer for what it has gets no second task."""


class Paces(Generic[Worker]):
    """Seconds that workers take for a task, without what they wait for."""

    def __init__(self) -> None:
        self._seconds: dict[Worker, float] = {}

    def heard(self, worker: Worker, seconds: float) -> None:
        """It has done a task in that time; earlier ones count too, the less the older they are."""
        before = self._seconds.get(worker, seconds)
        self._seconds[worker] = _KEPT * before + (1 - _KEPT) * seconds

    def forget(self, worker: Worker) -> None:
        """It is gone."""
        self._seconds.pop(worker, None)

    def next_of(self, loads: Mapping[Worker, int], *, is_urgent: bool = False) -> Worker | None:
        """The worker that would be done first; None when all have enough to do.

        Args:
            loads: Tasks that each worker has.
            is_urgent: Whether others wait for the task, so that nobody has enough to do.
        """
        fastest = min(self._seconds.values(), default=1.0)

        def done(worker: Worker) -> float:
            return (loads[worker] + 1) * self._seconds.get(worker, fastest)

        def may(worker: Worker) -> bool:
            load = loads[worker]
            is_soon = load < LEASES and done(worker) <= _MOST_AHEAD * fastest
            return is_urgent or not load or is_soon

        return min(filter(may, loads), key=done, default=None)
