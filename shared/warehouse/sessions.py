"""chDB sessions, each used by one thread at a time, and how they end."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from shared.warehouse.failures import closed, code_in, failure

_KILL = "KILL QUERY WHERE query_id != queryID() ASYNC"
_KILL_SECONDS = 30.0


class Lease:
    """A session lent to one caller; the lock keeps `SessionPool.close` out of a running call."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._is_ended = False

    def call(self, act: Callable[[Any], Any]) -> Any:
        """Run `act(session)`, with the engine's refusals as Oriel's errors."""
        with self._lock:
            if self._is_ended:
                raise closed()
            try:
                return act(self._session)
            except (RuntimeError, ValueError) as error:  # chDB raises both for the engine's errors
                message = str(error)
                raise failure(code_in(message), message) from error

    def release(self, result: Any) -> None:
        """Let go of a stream's result; after `end` the engine has done so already."""
        with self._lock:
            if not self._is_ended:
                result.close()

    def end(self, timeout_seconds: float) -> None:
        """Close the session once the call in it has returned, or leave it after the timeout."""
        if not self._lock.acquire(timeout=timeout_seconds):
            return
        try:
            self._is_ended = True
            self._session.close()
        finally:
            self._lock.release()


class SessionPool:
    """Lends sessions so that no two threads ever share one.

    A session shared between threads mixes up the parameters of their statements without an error,
    so each statement has its session to itself, and a session that saw a failure is not used
    again.

    Args:
        open_session: Opens a session that is ready for statements; takes about a millisecond.
    """

    def __init__(self, open_session: Callable[[], Any]) -> None:
        self._open_session = open_session
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
            self._kill(lent)
        for lease in self._idle:
            lease.end(_KILL_SECONDS)
        self._idle.clear()

    def _take(self) -> Lease:
        with self._change:
            if self._is_closing:
                raise closed()
            lease = self._idle.pop() if self._idle else Lease(self._open_session())
            self._lent.add(lease)
            return lease

    def _give_back(self, lease: Lease, *, is_sound: bool) -> None:
        if not is_sound:
            lease.end(_KILL_SECONDS)
        with self._change:
            self._lent.discard(lease)
            if is_sound:
                self._idle.append(lease)
            self._change.notify_all()

    def _kill(self, lent: list[Lease]) -> None:
        # ASYNC, because SYNC would wait for ever on a stream that nobody reads from.
        killer = self._open_session()
        killer.query(_KILL)
        deadline = time.monotonic() + _KILL_SECONDS
        for lease in lent:
            lease.end(max(0.0, deadline - time.monotonic()))
        killer.close()
