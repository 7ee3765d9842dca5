"""One process at a time holds a workspace's folder, and says where it serves."""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from shared.errors import FailedPreconditionError

_STARTING_SECONDS = 60.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Holder:
    """Who holds a folder."""

    pid: int
    command: str
    address: str = ""
    """Where it serves; empty while it starts."""


class HomeLock:
    """The held lock; the system lets go of it however the process ends."""

    def __init__(self, descriptor: int, holder: Holder) -> None:
        self._descriptor, self._holder = descriptor, holder
        self._write(holder)

    def publish(self, address: str) -> None:
        """Say where the holder serves."""
        self._write(Holder(self._holder.pid, self._holder.command, address))

    def release(self) -> None:
        """Let go of the folder."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def _write(self, holder: Holder) -> None:
        # One write of a fixed place: a reader sees the old text or the new one.
        text = json.dumps(asdict(holder))
        os.pwrite(self._descriptor, text.ljust(512).encode(), 0)


def acquire(path: Path, command: str) -> HomeLock | None:
    """Take the lock; None when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return HomeLock(descriptor, Holder(os.getpid(), command))


def holder_of(path: Path) -> Holder | None:
    """Return who holds the folder now; None when nobody does."""
    try:
        stream = path.open("r", encoding="utf-8")
    except FileNotFoundError:
        return None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(stream)
        return None


def wait_for_address(path: Path) -> str:
    """Return where the holder serves, once it does; empty when it lets go before.

    Raises:
        FailedPreconditionError: It holds the folder and does not come to serve.
    """
    ends = time.monotonic() + _STARTING_SECONDS
    while (holder := holder_of(path)) is not None:
        if holder.address:
            return holder.address
        if time.monotonic() > ends:
            raise FailedPreconditionError(
                f"process {holder.pid} ({holder.command}) holds {path.parent} and does not answer; "
                "end it, or choose another folder with --home",
                reason="HOME_LOCKED",
                pid=holder.pid,
                path=path.parent,
            )
        time.sleep(_POLL_SECONDS)
    return ""


def _read(stream: TextIO) -> Holder:
    try:
        return Holder(**json.loads(stream.read()))
    except (ValueError, TypeError):
        return Holder(0, "starting")
