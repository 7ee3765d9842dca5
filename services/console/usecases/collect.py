"""Stores what many requests bring at the same time by few calls."""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from services.console.usecases.ports import Ingester, Rejection
from shared.errors import DomainError, ResourceExhaustedError, UnavailableError


@dataclass(frozen=True)
class Bounds:
    """How much is collected."""

    window_seconds: float = 0.003
    """How long the first waits for others; what comes during a call waits for its end only."""
    call_messages: int = 5_000
    call_bytes: int = 4 * 1024 * 1024
    waiting_bytes: int = 16 * 1024 * 1024
    """More than this is refused rather than let wait."""


@dataclass(frozen=True)
class _Waiting:
    messages: Sequence[bytes]
    source: str
    byte_count: int
    answer: "Future[Sequence[Rejection]]" = field(default_factory=Future)


class Collector:
    """Makes one call of what waits for the same source; a thread of its own does the calling."""

    def __init__(self, ingester: Ingester, bounds: Bounds | None = None) -> None:
        self._ingester, self._bounds = ingester, bounds or Bounds()
        self._changed = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._byte_count = 0
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)
        self._thread.start()

    def store(self, messages: Sequence[bytes], source: str) -> Sequence[Rejection]:
        """Return once the messages are durable, with why some could not become events.

        Raises:
            ResourceExhaustedError: Too much waits already.
            DomainError: What storing them met; see `Ingester.ingest`.
        """
        waiting = _Waiting(messages, source, sum(map(len, messages)))
        with self._changed:
            if self._is_closed:
                raise UnavailableError("the door is closing; send it again", reason="DOOR_CLOSING")
            if self._byte_count + waiting.byte_count > self._bounds.waiting_bytes:
                raise ResourceExhaustedError(
                    "more comes in than is stored; send it again in a moment", reason="DOOR_BUSY"
                )
            self._queue.append(waiting)
            self._byte_count += waiting.byte_count
            self._changed.notify()
        return waiting.answer.result()

    def close(self, grace_seconds: float) -> None:
        """Refuse what comes from now on; store what waits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(grace_seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._queue:
                    self._changed.wait_for(lambda: self._queue or self._is_closed)
                    if not self._queue:
                        return
                    self._changed.wait_for(
                        lambda: self._is_closed or self._byte_count >= self._bounds.call_bytes,
                        self._bounds.window_seconds,
                    )
                group = self._take()
            self._call(group)

    def _take(self) -> list[_Waiting]:
        """Take the first and those of its source that fit beside it; the others keep their turn."""
        group: list[_Waiting] = []
        left: deque[_Waiting] = deque()
        message_count = byte_count = 0
        for waiting in self._queue:
            messages, size = len(waiting.messages), waiting.byte_count
            is_first = not group
            fits = (
                message_count + messages <= self._bounds.call_messages
                and byte_count + size <= self._bounds.call_bytes
            )
            if is_first or (fits and waiting.source == group[0].source):
                group.append(waiting)
                message_count += messages
                byte_count += size
            else:
                left.append(waiting)
        self._queue = left
        self._byte_count -= byte_count
        return group

    def _call(self, group: Sequence[_Waiting]) -> None:
        messages = [message for waiting in group for message in waiting.messages]
        try:
            rejections = self._ingester.ingest(messages, group[0].source)
        except Exception as error:  # noqa: BLE001 - whatever it was, those who wait must hear of it
            if len(group) > 1 and not isinstance(error, DomainError):
                # One of them meets a bug of ingestion's: it must not keep the others out.
                for waiting in group:
                    self._call([waiting])
                return
            for waiting in group:
                waiting.answer.set_exception(error)
            return
        first = 0
        for waiting in group:
            end = first + len(waiting.messages)
            own = [replace(r, index=r.index - first) for r in rejections if first <= r.index < end]
            waiting.answer.set_result(own)
            first = end
