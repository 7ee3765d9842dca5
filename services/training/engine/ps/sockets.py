"""The transport over TCP: a thread each way for every connection, bodies received in place."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from services.training.engine.ps.memory import aligned, as_bytes
from services.training.engine.ps.messages import HEADER_BYTES, MAX_BODY_BYTES, Header
from services.training.engine.ps.outbox import Outbox
from services.training.engine.ps.transport import IN_FLIGHT_BYTES, Body, Receiver
from shared.errors import UnavailableError

KERNEL_BUFFER_BYTES = 256 << 10
"""Little waits in the kernel, where an urgent message can no longer overtake it."""

PATIENCE_SECONDS = 10.0
"""How long a connection and a parting may take."""


class SocketTransport:
    """Connections between processes; addresses are "host:port", port 0 for any free one.

    Args:
        limit_bytes: What may wait for one connection.
    """

    def __init__(self, limit_bytes: int = IN_FLIGHT_BYTES) -> None:
        self._limit = limit_bytes
        self._listeners: list[socket.socket] = []
        self._accepting: list[threading.Thread] = []
        self._links: set[_Link] = set()
        self._lock = threading.Lock()

    def listen(self, address: str, receiver: Receiver) -> str:
        """Accept connections there until closed."""
        listener = socket.create_server(_host_and_port(address), backlog=64)
        self._listeners.append(listener)
        thread = threading.Thread(
            target=self._accept, args=(listener, receiver), name="accept", daemon=True
        )
        self._accepting.append(thread)
        thread.start()
        host, port = listener.getsockname()[:2]
        return f"{host}:{port}"

    def connect(self, address: str, receiver: Receiver) -> "_Link":
        """A connection to who listens there."""
        try:
            opened = socket.create_connection(_host_and_port(address), PATIENCE_SECONDS)
        except OSError as error:
            raise UnavailableError(
                f"nobody listens at {address} ({error}); start that node first",
                reason="NODE_UNREACHABLE",
                address=address,
                error=error,
            ) from error
        if opened.getsockname() == opened.getpeername():
            # By chance the system gave it the very port that nobody listens at.
            opened.close()
            raise UnavailableError(
                f"nobody listens at {address}; start that node first",
                reason="NODE_UNREACHABLE",
                address=address,
            )
        return self._link(opened, receiver)

    def close(self) -> None:
        """Part from every peer; what was handed over is sent first."""
        for listener in self._listeners:
            # Closing alone would leave the thread in accept.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self._accepting:
            thread.join()
        with self._lock:
            links = list(self._links)
        for link in links:
            link.close()
        for link in links:
            link.wait()

    def _accept(self, listener: socket.socket, receiver: Receiver) -> None:
        while True:
            try:
                opened, _ = listener.accept()
            except OSError:  # closed
                return
            self._link(opened, receiver)

    def _link(self, opened: socket.socket, receiver: Receiver) -> "_Link":
        opened.settimeout(None)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
        link = _Link(opened, receiver, self._limit, self._forget)
        with self._lock:
            self._links.add(link)
        link.start()
        return link

    def _forget(self, link: "_Link") -> None:
        with self._lock:
            self._links.discard(link)


class _Link:
    """One connection."""

    def __init__(
        self,
        opened: socket.socket,
        receiver: Receiver,
        limit_bytes: int,
        on_end: Callable[["_Link"], None],
    ) -> None:
        self._socket, self._receiver, self._on_end = opened, receiver, on_end
        self._outbox = Outbox(limit_bytes)
        self._writer = threading.Thread(target=self._write, name="send", daemon=True)
        self._reader = threading.Thread(target=self._read, name="receive", daemon=True)

    def start(self) -> None:
        self._writer.start()
        self._reader.start()

    def send(self, header: Header, body: Body = b"", key: object = None) -> None:
        # What the kernel takes at once need not wake the writing thread.
        if self._outbox.claim():
            sent = _send_some(self._socket, header.pack(), memoryview(body))
            self._outbox.release(header, body, sent)
        else:
            self._outbox.put(header, body, key)

    def close(self) -> None:
        self._outbox.close()

    def drop(self) -> None:
        self._outbox.close(is_dropped=True)
        with suppress(OSError):  # parted already
            self._socket.shutdown(socket.SHUT_RDWR)

    def wait(self) -> None:
        """Return when the peer has parted too, or has had the time to."""
        self._writer.join(PATIENCE_SECONDS)
        if self._reader is not threading.current_thread():
            self._reader.join(PATIENCE_SECONDS)
            if self._reader.is_alive():
                self.drop()
                self._reader.join()

    def _write(self) -> None:
        try:
            while (message := self._outbox.take()) is not None:
                header, body, sent = message
                _send_rest(self._socket, header.pack(), memoryview(body), sent)
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:  # the reader sees the same loss and tells of it
            self._outbox.close(is_dropped=True)

    def _read(self) -> None:
        error: Exception | None = None
        try:
            self._receive_all()
        except OSError:
            pass
        except Exception as raised:  # noqa: BLE001 - the receiver is told what it raised
            error = raised
        self._outbox.close(is_dropped=True)
        self._receiver.lost(self, error)
        self._writer.join()
        self._socket.close()
        self._on_end(self)

    def _receive_all(self) -> None:
        head = memoryview(bytearray(HEADER_BYTES))
        while _receive_exactly(self._socket, head):
            header = Header.unpack(head)
            if header.body > MAX_BODY_BYTES:
                raise ValueError(f"a message of {header.body} bytes is not one of ours")
            room = self._receiver.room(header)
            if room is None:
                room = as_bytes(aligned(header.body, np.dtype(np.uint8)))
            if not _receive_exactly(self._socket, room):
                return
            self._receiver.received(self, header, room)


def _send_some(to: socket.socket, head: bytes, body: memoryview) -> int | None:
    """Send as much as goes without waiting; how much that is, None when nothing is to follow."""
    try:
        sent = to.sendmsg([head, body], [], socket.MSG_DONTWAIT)
    except BlockingIOError:
        return 0
    except OSError:  # the reader sees the same loss and tells of it
        return None
    return sent if sent < len(head) + len(body) else None


def _send_rest(to: socket.socket, head: bytes, body: memoryview, sent: int) -> None:
    if not sent:
        sent = to.sendmsg([head, body])
    if sent < len(head):
        to.sendall(head[sent:])
        sent = len(head)
    if sent < len(head) + len(body):
        to.sendall(body[sent - len(head) :])


def _receive_exactly(source: socket.socket, room: memoryview) -> bool:
    """Fill the room; False when the peer parted before."""
    while len(room):
        count = source.recv_into(room, 0, socket.MSG_WAITALL)
        if not count:
            return False
        room = room[count:]
    return True


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
