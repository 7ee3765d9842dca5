"""Checkpoints of a group: every process saves at the same step, though clocks differ."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from jax.experimental import multihost_utils

from services.training.engine.standing import Standing, StandingStore
from services.training.engine.step import TrainState

NumpyArray = np.ndarray[Any, Any]
_SECONDS_BETWEEN_TALKS = 1.0


class GroupStore:
    """A store of every process of a group, all of them over one folder.

    Whether a save is due is what process 0 says. It is asked about once a second; every process
    counts the steps until it is asked again.

    Args:
        store: This process's.
        whole: Gathers a state; all processes do it together.
        from_first: Gives every process the array that process 0 has.
    """

    def __init__(
        self,
        store: StandingStore,
        whole: Callable[[TrainState], TrainState],
        from_first: Callable[[NumpyArray], NumpyArray] = multihost_utils.broadcast_one_to_all,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._whole = store, whole
        self._from_first, self._clock = from_first, clock
        self._wait = self._left = 1
        self._asked_at = clock()

    def is_due(self) -> bool:
        """The same in every process."""
        self._left -= 1
        if self._left:
            return False
        pace = self._wait / max(self._clock() - self._asked_at, 1e-6)
        # At most doubled, because a few steps that were only queued look too fast.
        wait = min(max(round(pace * _SECONDS_BETWEEN_TALKS), 1), 2 * self._wait)
        said = self._from_first(np.array([self._store.is_due(), wait], np.int32))
        self._wait = self._left = int(said[1])
        self._asked_at = self._clock()
        return bool(said[0])

    def save(self, standing: Standing) -> None:
        """Keep it whole."""
        self._store.save(replace(standing, state=self._whole(standing.state)))

    def latest(self, fresh: Standing) -> Standing | None:
        """The last one kept, whole."""
        return self._store.latest(fresh)

    def wait(self) -> None:
        """Return when everything given to `save` is kept."""
        self._store.wait()
