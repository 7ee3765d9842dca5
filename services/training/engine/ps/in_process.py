"""The transport between threads of one process."""

import threading

from services.training.engine.ps.messages import Header
from services.training.engine.ps.outbox import Outbox
from services.training.engine.ps.transport import IN_FLIGHT_BYTES, Body, Receiver
from shared.errors import UnavailableError


class InProcessTransport:
    """Listeners and connections that know each other by address.

    Args:
        limit_bytes: What may wait for one connection.
    """

    def __init__(self, limit_bytes: int = IN_FLIGHT_BYTES) -> None:
        self._limit = limit_bytes
        self._receivers: dict[str, Receiver] = {}
        self._ends: list[_End] = []

    def listen(self, address: str, receiver: Receiver) -> str:
        """Be reachable under that address; port 0 stands for any free one."""
        host, _, port = address.rpartition(":")
        bound = f"{host}:{len(self._receivers) + 1}" if port == "0" else address
        self._receivers[bound] = receiver
        return bound

    def connect(self, address: str, receiver: Receiver) -> "_End":
        """A connection to who listens there."""
        if address not in self._receivers:
            raise UnavailableError(
                f"nobody listens at {address}; start that node first",
                reason="NODE_UNREACHABLE",
                address=address,
            )
        near, far = _End(receiver, self._limit), _End(self._receivers[address], self._limit)
        near.join(far)
        far.join(near)
        self._ends += [near, far]
        return near

    def close(self) -> None:
        """Part everywhere and wait for the threads."""
        self._receivers.clear()
        for end in self._ends:
            end.close()
        for end in self._ends:
            end.wait()


class _End:
    """One end of a connection; its thread hands over what the other end sends."""

    def __init__(self, receiver: Receiver, limit_bytes: int) -> None:
        self._receiver = receiver
        self._inbox = Outbox(limit_bytes)
        self._thread = threading.Thread(target=self._deliver, name="in-process", daemon=True)

    def join(self, other: "_End") -> None:
        self._other = other
        self._thread.start()

    def send(self, header: Header, body: Body = b"", key: object = None) -> None:
        self._other._inbox.put(header, body, key)

    def close(self) -> None:
        self._inbox.close()
        self._other._inbox.close()

    def drop(self) -> None:
        self._inbox.close(is_dropped=True)
        self._other._inbox.close(is_dropped=True)

    def wait(self) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _deliver(self) -> None:
        error: Exception | None = None
        try:
            while (message := self._inbox.take()) is not None:
                header, body, _ = message
                given = memoryview(body).cast("B")
                room = self._receiver.room(header)
                if room is not None:
                    room[:] = given
                self._receiver.received(self, header, given if room is None else room)
        except Exception as raised:  # noqa: BLE001 - the receiver is told what it raised
            error = raised
        self._inbox.close(is_dropped=True)
        self._other._inbox.close()
        self._receiver.lost(self, error)
