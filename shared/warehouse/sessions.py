"""Sessions of an engine, each used by one thread at a time, and how they end."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from shared.errors import UnavailableError
from shared.warehouse.failures import closed

_STOP_SECONDS = 30.0

Result = TypeVar("Result")


class Engine(Protocol):
    """What a pool has to know of the engine whose sessions it lends."""

    def open(self) -> Any:
        """Open a session that is ready for statements; it has a `close` method."""

    def interrupt(self, sessions: Sequence[Any]) -> None:
        """Make the statements that other threads run in these sessions end soon."""

    def explain(self, error: Exception) -> Exception:
        """Turn an error of the engine into Oriel's; other errors come back as they are."""


class Lease:
    """A session lent to one caller; its lock keeps `SessionPool.close` out of a running call."""

    def __init__(self, session: Any, explain: Callable[[Exception], Exception]) -> None:
        self.session = session
        self._explain = explain
        self._lock = threading.Lock()
        self._is_ended = False

    def call(self, act: Callable[[Any], Result]) -> Result:
        """Run `act(session)`, with the engine's errors as Oriel's."""
        with self._lock:
            if self._is_ended:
                raise closed()
            try:
                return act(self.session)
            except StopIteration:
                raise
            except Exception as error:
                raise self._explain(error) from error

    def release(self, close_result: Callable[[], object]) -> None:
        """Let go of a stream's result; after `end` the engine has done so already."""
        with self._lock:
            if not self._is_ended:
                close_result()

    def end(self, timeout_seconds: float) -> None:
        """Close the session once the call in it has returned, or leave it after the timeout."""
        if not self._lock.acquire(timeout=timeout_seconds):
            return
        try:
            self._is_ended = True
            self.session.close()
        finally:
            self._lock.release()


class SessionPool:
    """Lends sessions so that no two threads ever share one.

    A chDB session shared between threads mixes up the parameters of their statements without an
    error, and a connection to a server takes one statement at a time. So each statement has its
    session to itself, and a session that saw a failure is not used again.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._idle: list[Lease] = []
        self._lent: set[Lease] = set()
        self._change = threading.Condition()
        self._is_closing = False

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """Lend a session for one statement or one stream."""
        lease = self._take()
        is_sound = False
        try:
            yield lease
            is_sound = True
        finally:
            self._give_back(lease, is_sound=is_sound)

    def close(self, grace_seconds: float) -> None:
        """Stop lending, wait for what runs, stop what still runs after the grace, close all."""
        with self._change:
            if self._is_closing:
                return
            self._is_closing = True
            self._change.wait_for(lambda: not self._lent, timeout=grace_seconds)
            lent = list(self._lent)
        if lent:
            self._engine.interrupt([lease.session for lease in lent])
        deadline = time.monotonic() + _STOP_SECONDS
        for lease in [*lent, *self._idle]:
            lease.end(max(0.0, deadline - time.monotonic()))
        self._idle.clear()

    def _take(self) -> Lease:
        with self._change:
            self._refuse_when_closing()
            if self._idle:
                lease = self._idle.pop()
                self._lent.add(lease)
                return lease
        return self._admit(Lease(self._engine.open(), self._engine.explain))

    def _admit(self, lease: Lease) -> Lease:
        with self._change:
            try:
                self._refuse_when_closing()
            except UnavailableError:
                lease.end(_STOP_SECONDS)
                raise
            self._lent.add(lease)
            return lease

    def _refuse_when_closing(self) -> None:
        if self._is_closing:
            raise closed()

    def _give_back(self, lease: Lease, *, is_sound: bool) -> None:
        if not is_sound:
            lease.end(_STOP_SECONDS)
        with self._change:
            self._lent.discard(lease)
            if is_sound:
                self._idle.append(lease)
            self._change.notify_all()
