"""Supervises the worker process of a run: follows it, ends it, and says how it ended."""

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import shared.errors
from services.training.engine.environment import worker_environment
from services.training.runs.folder import RunFolder
from shared.errors import CancelledError, DomainError, UnavailableError

Message = Mapping[str, Any]

_POLL_SECONDS = 0.1
_EXIT_SECONDS = 20.0

WORKER_ENVIRONMENT: Mapping[str, str] = {
    # Sums in a fixed order whatever the machine is busy with, so that equal runs give equal bytes.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


class Supervisor:
    """Starts one worker per run as a fresh interpreter; never by fork.

    Args:
        command: Starts a worker; the run folder's path is added.
        environment: Added to ours.
    """

    def __init__(
        self,
        command: tuple[str, ...] = (sys.executable, "-m", "services.training.worker"),
        environment: Mapping[str, str] = WORKER_ENVIRONMENT,
    ) -> None:
        self._command = command
        self._environment = environment

    def run(
        self,
        folder: RunFolder,
        on_message: Callable[[Message], None],
        is_cancelled: Callable[[], bool],
    ) -> None:
        """Run a worker in a prepared folder until it has ended well.

        Raises:
            CancelledError: A caller asked to stop; the worker is gone.
            DomainError: What the worker said of its failure.
            UnavailableError: The worker died without a word; the log's end is in the metadata.
        """
        with folder.log_file.open("ab") as log:
            process = subprocess.Popen(
                [*self._command, str(folder.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**worker_environment(os.environ), **self._environment},
                # Ctrl-C reaches the supervisor alone, which then ends its worker in order.
                start_new_session=True,
            )
        try:
            for message in _messages(process.stdout, is_cancelled):
                on_message(message)
            code = process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        finally:
            _end(process)
        if code != 0:
            raise _failure(folder, code)


def _messages(stream: IO[bytes] | None, is_cancelled: Callable[[], bool]) -> Iterator[Message]:
    """Whole lines as they come; looks for cancellation in between."""
    assert stream is not None
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if is_cancelled():
                raise CancelledError("the training run was cancelled", reason="CANCELLED")
            if not selector.select(_POLL_SECONDS):
                continue
            block = os.read(stream.fileno(), 65536)
            if not block:
                return
            *lines, rest = (rest + block).split(b"\n")
            yield from (json.loads(line) for line in lines)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def _failure(folder: RunFolder, code: int) -> DomainError:
    if folder.error_file.exists():
        said = json.loads(folder.error_file.read_text(encoding="utf-8"))
        kind: type[DomainError] = getattr(shared.errors, said["type"])
        return kind(said["message"], reason=said["reason"], **said["metadata"])
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return UnavailableError(
        f"the training worker {how}; ask for the run again, and see {folder.log_file} if it "
        "happens twice",
        reason="TRAINING_WORKER_DIED",
        exit_code=code,
        log_file=folder.log_file,
        log=folder.log_end(),
    )
