"""A log line and figures for each request, without anything of its content or its sender."""

import logging
import time

from flask import Flask, Response, g, request

from shared.obs.metrics import CONSOLE_REQUESTS, CONSOLE_SECONDS

_LOG = logging.getLogger("oriel.http")

# Health checks come every few seconds for ever; they are counted, not logged.
_UNLOGGED = frozenset({"live", "ready"})
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST"})


def observe(application: Flask) -> None:
    """Log and measure every answer of an application."""
    application.before_request(_start)
    application.after_request(_end)


def _start() -> None:
    g.started = time.perf_counter()


def _end(answer: Response) -> Response:
    seconds = time.perf_counter() - g.started
    route = request.endpoint or "unknown"
    CONSOLE_SECONDS.labels(route).observe(seconds)
    CONSOLE_REQUESTS.labels(route, str(answer.status_code)).inc()
    if route not in _UNLOGGED:
        method = request.method if request.method in _METHODS else "OTHER"
        fields = {"method": method, "route": route, "code": answer.status_code}
        _LOG.info("http", extra={**fields, "seconds": round(seconds, 6)})
    return answer
