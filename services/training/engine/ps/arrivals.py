"""A worker's weights as they arrive from the servers, piece by piece and version by version."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import numpy as np

from services.training.engine.ps.job import Job
from services.training.engine.ps.memory import aligned, as_bytes
from services.training.engine.ps.messages import Header
from services.training.engine.ps.partition import ALIGNMENT
from services.training.engine.ps.wire import Wire, decode
from services.training.engine.rows import NumpyArray


class OvertakenError(Exception):
    """The step asked for has been settled by others: there is nothing to be computed for it."""


class PreemptedError(Exception):
    """Something else is to be computed before values for this step will come."""


IsWanted = Callable[[], bool]


class Arrivals(Protocol):
    """Where values arrive, and where a computation waits for them."""

    def room(self, header: Header) -> memoryview:
        """Where a piece belongs."""
        ...

    def received(self, header: Header, body: memoryview) -> None:
        """The piece is in its room, which `body` is."""
        ...

    def wait(self, vector: int, step: int, is_wanted: IsWanted) -> NumpyArray:
        """The vector as that step may use it, when all of it is there; it will not change.

        Raises:
            OvertakenError: It will not come, because the step is over, or training is.
            PreemptedError: It is not there and no longer wanted.
        """
        ...

    def nudge(self) -> None:
        """Let those who wait ask again whether they are wanted."""
        ...

    def close(self) -> None:
        """End all waiting."""
        ...


class Vectors(Mapping[str, NumpyArray]):
    """The weights of a step by name; asking for one waits until it is there.

    Attributes:
        waited: Seconds of waiting.
    """

    def __init__(self, job: Job, arrivals: Arrivals, step: int, is_wanted: IsWanted) -> None:
        self._numbers = {vector.name: number for number, vector in enumerate(job.vectors)}
        self._arrivals, self._step, self._is_wanted = arrivals, step, is_wanted
        self.waited = 0.0

    def __getitem__(self, name: str) -> NumpyArray:
        """Wait for the vector of that name."""
        started = time.perf_counter()
        vector = self._arrivals.wait(self._numbers[name], self._step, self._is_wanted)
        self.waited += time.perf_counter() - started
        return vector

    def __iter__(self) -> Iterator[str]:
        """Names, first layer first."""
        return iter(self._numbers)

    def __len__(self) -> int:
        """How many."""
        return len(self._numbers)


class _Version:
    """One vector after a number of updates, while it arrives."""

    def __init__(self, size: int, dtype: np.dtype) -> None:
        self.buffer = aligned(size, dtype)
        self.missing = max(size, 1)
        self._has = np.zeros(-(-size // ALIGNMENT), bool)
        self.is_whole = False

    def fill(self, start: int, size: int) -> None:
        blocks = self._has[_blocks(start, size)]
        if size and blocks.all():
            return
        blocks[:] = True
        self.missing = int(self._has.size - np.count_nonzero(self._has))


def _blocks(start: int, size: int) -> slice:
    """The blocks of a piece; a block is never divided between pieces, or it would seem complete.

    Raises:
        ValueError: The piece does not begin where a block does.
    """
    if start % ALIGNMENT:
        raise ValueError(f"a piece begins at {start}, which is no multiple of {ALIGNMENT}")
    return slice(start // ALIGNMENT, -(-(start + size) // ALIGNMENT))


class ExactArrivals:
    """For `sync`: a step computes with exactly the updates of all steps before it."""

    def __init__(self, job: Job) -> None:
        self._sizes = [vector.size for vector in job.vectors]
        self._dtype = job.dtype
        self._versions: dict[tuple[int, int], _Version] = {}
        self._newest = [-1] * len(self._sizes)
        self._whole = [-1] * len(self._sizes)
        self._floor = -1
        self._is_closed = False
        self._changed = threading.Condition()

    def room(self, header: Header) -> memoryview:
        """In the buffer of that version of the vector."""
        with self._changed:
            key = (header.vector, header.step)
            if header.step < self._floor:
                return memoryview(bytearray(header.body))
            if key not in self._versions:
                self._versions[key] = _Version(self._sizes[header.vector], self._dtype)
            if header.wire != Wire.FLOAT32:
                return memoryview(bytearray(header.body))
            buffer = self._versions[key].buffer
        return as_bytes(buffer[header.start : header.start + header.size])

    def received(self, header: Header, body: memoryview) -> None:
        """Count the piece; a whole vector changes no more."""
        with self._changed:
            version = self._versions.get((header.vector, header.step))
            if version is None:
                return
            self._newest[header.vector] = max(self._newest[header.vector], header.step)
            if header.wire != Wire.FLOAT32 and not version.is_whole:
                numbers = decode(Wire(header.wire), body, self._dtype)
                version.buffer[header.start : header.start + header.size] = numbers
            version.fill(header.start, header.size)
            if not version.missing and not version.is_whole:
                version.is_whole = True
                self._whole[header.vector] = max(self._whole[header.vector], header.step)
                self._forget()
            self._changed.notify_all()

    def wait(self, vector: int, step: int, is_wanted: IsWanted) -> NumpyArray:
        """The vector after `step` updates."""
        with self._changed:
            while True:
                version = self._versions.get((vector, step))
                if version is not None and version.is_whole:
                    return version.buffer
                if self._is_closed or step < max(self._newest[vector], self._floor):
                    raise OvertakenError
                if not is_wanted():
                    raise PreemptedError
                self._changed.wait()

    def nudge(self) -> None:
        """Let those who wait ask again whether they are wanted."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End all waiting."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _forget(self) -> None:
        """Drop versions that nobody can need: every vector is past them."""
        floor = min(self._whole)
        if floor > self._floor:
            self._floor = floor
            self._versions = {key: v for key, v in self._versions.items() if key[1] >= floor}


class LatestArrivals:
    """For `bounded` and `async`: a step computes with the newest values that are there.

    They may lack the last `staleness` updates before the step, or any number when that is None.
    """

    def __init__(self, job: Job) -> None:
        self._staleness = job.sharing.staleness
        self._dtype = job.dtype
        self._values = [aligned(vector.size, job.dtype) for vector in job.vectors]
        self._versions = [
            np.full(-(-vector.size // ALIGNMENT) or 1, -1, np.int64) for vector in job.vectors
        ]
        self._is_closed = False
        self._changed = threading.Condition()

    def room(self, header: Header) -> memoryview:
        """Beside the vector, which a computation may be reading."""
        return as_bytes(aligned(header.body, np.dtype(np.uint8)))

    def received(self, header: Header, body: memoryview) -> None:
        """Put the piece into the vector."""
        numbers = decode(Wire(header.wire), body, self._dtype)
        blocks = _blocks(header.start, max(header.size, 1))
        with self._changed:
            versions = self._versions[header.vector][blocks]
            if (versions > header.step).any():
                return
            versions[:] = header.step
            self._values[header.vector][header.start : header.start + header.size] = numbers
            self._changed.notify_all()

    def wait(self, vector: int, step: int, is_wanted: IsWanted) -> NumpyArray:
        """A copy of the vector when it is new enough."""
        needed = 0 if self._staleness is None else max(step - self._staleness, 0)
        with self._changed:
            while not self._is_closed and self._versions[vector].min() < needed:
                if not is_wanted():
                    raise PreemptedError
                self._changed.wait()
            if self._is_closed:
                raise OvertakenError
            copy = aligned(len(self._values[vector]), self._dtype)
            copy[:] = self._values[vector]
            return copy

    def nudge(self) -> None:
        """Let those who wait ask again whether they are wanted."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End all waiting."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
