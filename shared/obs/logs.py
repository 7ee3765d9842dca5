"""Logs as JSON, one object a line; never raw events, never identifiers of users."""

import logging
import sys
from pathlib import Path
from typing import TextIO

from pythonjsonlogger.json import JsonFormatter

_FORMAT = "{asctime}{levelname}{name}{message}"
_NAMES = {"asctime": "time", "levelname": "level", "name": "logger"}


def configure(file: Path | None = None, *, stream: TextIO | None = None) -> logging.Handler:
    """Send every log line of this process to a file, or else to a stream (standard error).

    Returns:
        The handler, so that whoever configured it can take it away and close it.
    """
    if file is None:
        return attach(logging.StreamHandler(stream or sys.stderr))
    file.parent.mkdir(parents=True, exist_ok=True)
    return attach(logging.FileHandler(file, encoding="utf-8", delay=True))


def attach(handler: logging.Handler) -> logging.Handler:
    """Send every log line of this process to a handler, formatted; return the handler."""
    handler.setFormatter(
        JsonFormatter(_FORMAT, style="{", rename_fields=_NAMES, datefmt="%Y-%m-%dT%H:%M:%S%z")
    )
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    return handler
