"""Serves an application on a bounded thread pool, and stops without losing an answer."""

import socket
import threading
import time
from typing import Any

from flask import Flask
from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel

from shared.errors import FailedPreconditionError

THREADS = 256
"""Requests answered at once.

Each waits for its events to be durable, and all that wait share an insert: the more may wait, the
more events a second, since an insert of hundreds takes hardly longer than one of a few.
"""

_CONNECTIONS = 1_000
_HEADER_BYTES = 16 * 1024
_BODY_BYTES = 1024 * 1024
"""What is read at all; a longer body is refused before the application hears of it."""
_IDLE_SECONDS = 60
_POLL_SECONDS = 0.5
_STEP_SECONDS = 0.02


class HttpServer:
    """A server that answers from its construction on.

    Raises:
        FailedPreconditionError: The address is taken.
    """

    def __init__(self, application: Flask, host: str, port: int) -> None:
        self._sockets: dict[int, Any] = {}
        listening = _listen(host, port)
        self._server = create_server(
            application,
            map=self._sockets,
            sockets=[listening],
            threads=THREADS,
            connection_limit=_CONNECTIONS,
            channel_timeout=_IDLE_SECONDS,
            max_request_header_size=_HEADER_BYTES,
            max_request_body_size=_BODY_BYTES,
            ident=None,
        )
        self.address = f"{host}:{listening.getsockname()[1]}"
        """Where it listens, as host:port."""
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()

    def stop(self, grace_seconds: float) -> None:
        """Accept nobody from now on; answer those who are in; then stop. Twice does no harm."""
        if self._is_stopped.is_set():
            return
        ends = time.monotonic() + grace_seconds
        self._server.accepting = False
        while self._is_busy() and time.monotonic() < ends:
            time.sleep(_STEP_SECONDS)
        self._server.task_dispatcher.shutdown(timeout=max(ends - time.monotonic(), 0.1))
        self._is_stopped.set()
        self._server.pull_trigger()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_stopped.is_set():
            wasyncore.loop(_POLL_SECONDS, use_poll=True, map=self._sockets, count=1)
        wasyncore.close_all(self._sockets, ignore_all=True)

    def _is_busy(self) -> bool:
        channels = [each for each in self._sockets.copy().values() if isinstance(each, HTTPChannel)]
        return any(channel.requests or channel.total_outbufs_len for channel in channels)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host.strip("[]"), port), family=family)
    except OSError as error:
        raise FailedPreconditionError(
            f"cannot listen on {host}:{port} for HTTP: another program may hold the port; "
            "choose another",
            reason="HTTP_ADDRESS_TAKEN",
            address=f"{host}:{port}",
        ) from error
