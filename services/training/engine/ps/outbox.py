"""Messages that wait for a connection, lowest priority number first."""

import heapq
import threading
from dataclasses import dataclass, field

from services.training.engine.ps.messages import Header
from services.training.engine.ps.transport import Body


@dataclass(order=True)
class _Waiting:
    priority: int
    turn: int
    header: Header = field(compare=False)
    body: Body = field(compare=False)
    key: object = field(compare=False)
    sent: int = field(compare=False, default=0)


class Outbox:
    """A bounded priority queue between those who send and the thread that writes.

    Args:
        limit_bytes: A `put` without a key waits while this much is in the queue.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._heap: list[_Waiting] = []
        self._keyed: dict[object, _Waiting] = {}
        self._bytes = 0
        self._turn = 0
        self._is_waiting = self._is_claimed = False
        self._is_closed = self._is_dropped = False
        self._changed = threading.Condition()

    def put(self, header: Header, body: Body, key: object = None) -> None:
        """Add a message, or put it in the place of a waiting one with its key."""
        with self._changed:
            if key is not None and key in self._keyed:
                waiting = self._keyed[key]
                waiting.header, waiting.body = header, body
                return
            while key is None and self._bytes >= self._limit and not self._is_closed:
                self._changed.wait()
            if self._is_closed:
                return
            waiting = _Waiting(header.priority, self._turn, header, body, key)
            self._turn += 1
            self._bytes += header.body
            if key is not None:
                self._keyed[key] = waiting
            heapq.heappush(self._heap, waiting)
            self._changed.notify_all()

    def claim(self) -> bool:
        """Whether a sender may write by itself: nothing waits, and the thread that writes does.

        Who may has to `release` the box, and until then nobody else writes.
        """
        with self._changed:
            is_free = self._is_waiting and not (self._heap or self._is_claimed or self._is_closed)
            self._is_claimed = self._is_claimed or is_free
            return is_free

    def release(self, header: Header, body: Body, sent: int | None) -> None:
        """Let the thread that writes go on, first with what is left of the sender's message.

        Args:
            sent: How many bytes of header and body have left; None when nothing is to follow.
        """
        with self._changed:
            self._is_claimed = False
            if sent is not None and not self._is_dropped:
                heapq.heappush(self._heap, _Waiting(-1, self._turn, header, body, None, sent))
                self._bytes += header.body
            if self._heap or self._is_closed:
                self._changed.notify_all()

    def take(self) -> tuple[Header, Body, int] | None:
        """The next message, when there is one, and how much of it has left already.

        None after the last of a closed box.
        """
        with self._changed:
            self._is_waiting = True
            while self._is_claimed or not (self._heap or self._is_closed):
                self._changed.wait()
            self._is_waiting = False
            if not self._heap:
                return None
            waiting = heapq.heappop(self._heap)
            self._keyed.pop(waiting.key, None)
            self._bytes -= waiting.header.body
            self._changed.notify_all()
            return waiting.header, waiting.body, waiting.sent

    def close(self, is_dropped: bool = False) -> None:
        """Take nothing more in; what waits may still be taken unless it `is_dropped`."""
        with self._changed:
            self._is_closed = True
            self._is_dropped = self._is_dropped or is_dropped
            if is_dropped:
                self._heap.clear()
                self._keyed.clear()
            self._changed.notify_all()
