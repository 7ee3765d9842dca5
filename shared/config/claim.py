"""One process at a time does the work of a service in a workspace."""

import os

from filelock import FileLock, Timeout

from shared.config.home import Home
from shared.errors import FailedPreconditionError

# Long enough for a process that was killed a moment ago to be gone.
_PATIENCE_SECONDS = 1.0


class ServiceClaim:
    """The claim of a process on a service of a workspace; the system drops it with the process.

    What long work a service remembers lies in files that one process may write.

    Args:
        home: Folder of the workspace.
        service: Its short name, such as "feature".

    Raises:
        FailedPreconditionError: Another process has it.
    """

    def __init__(self, home: Home, service: str) -> None:
        file = home.jobs_path(service).with_suffix(".lock")
        file.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(file, thread_local=False)
        try:
            self._lock.acquire(timeout=_PATIENCE_SECONDS)
        except Timeout:
            holder = file.read_text(encoding="utf-8") or "another process"
            raise FailedPreconditionError(
                f"{holder} already is the {service} service of {home.path}; end it, or name the "
                "services that run as processes by ORIEL_INGESTION_ADDRESS and its like",
                reason="SERVICE_CLAIMED",
                holder=holder,
                service=service,
                path=home.path,
            ) from None
        file.write_text(f"process {os.getpid()}", encoding="utf-8")

    def __enter__(self) -> "ServiceClaim":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let go of it."""
        self._lock.release()
