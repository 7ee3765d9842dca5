"""One process per warehouse folder, and who it is."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from shared.errors import FailedPreconditionError

# Long enough that somebody who only looks (see `read_holder`) is never taken for a holder.
_PATIENCE_SECONDS = 0.5
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Holder:
    """The process that has a warehouse folder open."""

    pid: int
    address: str = ""
    """Where it serves gRPC; empty if it does not say."""


def lock_file(folder: Path) -> Path:
    """Return the lock file of a warehouse folder; it lies beside the folder."""
    return folder.with_name(f"{folder.name}.lock")


class FolderLock:
    """An exclusive claim on a folder; the system drops it when the process dies, however it dies.

    The engine has a lock of its own, but answers the second process with an empty error.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = lock_file(folder)
        self._lock = FileLock(self._file, thread_local=False)

    def acquire(self) -> None:
        """Take the folder for this process.

        Raises:
            FailedPreconditionError: Another process, or another part of this one, has it.
        """
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=_PATIENCE_SECONDS, poll_interval=_POLL_SECONDS)
        except Timeout as error:
            raise self._refused() from error
        self.announce("")

    def announce(self, address: str) -> None:
        """Write who holds the folder and where it serves, for those who come second."""
        self._file.write_text(json.dumps(asdict(Holder(os.getpid(), address))), encoding="utf-8")

    def release(self) -> None:
        """Give the folder back."""
        if self._lock.is_locked:
            self._file.write_text("", encoding="utf-8")
            self._lock.release()

    def _refused(self) -> FailedPreconditionError:
        holder = _read(self._file)
        who = f"process {holder.pid}" if holder else "another process"
        where = f", which serves at {holder.address}" if holder and holder.address else ""
        return FailedPreconditionError(
            f"The warehouse {self._folder} is held by {who}{where}; use that one or stop it first.",
            reason="WAREHOUSE_LOCKED",
            path=self._folder,
            pid=holder.pid if holder else "",
            address=holder.address if holder else "",
        )


def read_holder(folder: Path) -> Holder | None:
    """Say who holds a warehouse folder, or None if nobody does."""
    file = lock_file(folder)
    if not file.exists():
        return None
    probe = FileLock(file, thread_local=False)
    try:
        probe.acquire(timeout=0)
    except Timeout:
        return _read(file)
    probe.release()
    return None


def _read(file: Path) -> Holder | None:
    try:
        return Holder(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
