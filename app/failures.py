"""How a command that failed says so: two lines and an exit code."""

import re
from enum import IntEnum

from shared.errors import (
    CancelledError,
    DomainError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)


class ExitCode(IntEnum):
    """What a command leaves for the shell; part of the reference."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    PRECONDITION = 3
    REJECTED_ROWS = 4
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.INTERNAL: "a bug in Oriel; the log in the workspace's `logs` folder has the details",
    ExitCode.USAGE: "a wrong option, file, column or mapping; nothing was stored",
    ExitCode.PRECONDITION: "something must change first: too little data, folder held by another "
    "process, no workspace, no model",
    ExitCode.REJECTED_ROWS: "`ingest` or `replay` finished, and some rows were rejected; the good "
    "ones are stored",
    ExitCode.INTERRUPTED: "stopped by Ctrl-C; run the same command again to go on",
    ExitCode.TERMINATED: "stopped by SIGTERM; run the same command again to go on",
}

_HINTS = {
    "WORKSPACE_NOT_INITIALISED": "oriel init",
    "MODEL_VERSION_NOT_FOUND": "train a model first: oriel run",
    "SNAPSHOT_NOT_LOADED": "oriel run",
    "TOO_LITTLE_DATA": "bring a longer history; oriel rejects shows what was left out",
    "EMPTY_FILE": "check that the export that wrote it ended well",
    "DEADLINE_EXCEEDED": "run the same command again; work that was done is not done twice",
    "ADDRESS_TAKEN": "oriel up --port 0 takes a free port",
}
_HINTS_BY_KIND: dict[type[DomainError], str] = {
    InvalidArgumentError: "add --help to the command for what it takes",
    NotFoundError: "oriel doctor shows what the workspace holds",
    FailedPreconditionError: "oriel doctor shows what the workspace holds",
    UnavailableError: "run the same command again",
    CancelledError: "run the same command again to go on",
}
# Advice is the last sentence or clause; marks inside brackets, quotes and "e.g." part nothing.
_BREAK = re.compile(r"[;.] ")
_UNBROKEN = re.compile(r"\([^()]*\)|`[^`]*`|\b(?:e\.g|i\.e)\.")
_NOT_FOUND_USAGE = frozenset(
    {"FILE_NOT_FOUND", "MAPPING_NOT_FOUND", "PREDICTION_NOT_FOUND", "IMAGES_NOT_FOUND"}
)


def exit_code_of(error: DomainError) -> ExitCode:
    """Return the exit code for an error.

    >>> exit_code_of(InvalidArgumentError("no column 'price'", reason="MISSING_COLUMN")).value
    2
    """
    if isinstance(error, InvalidArgumentError) or error.reason in _NOT_FOUND_USAGE:
        return ExitCode.USAGE
    return ExitCode.PRECONDITION


def two_lines(error: DomainError) -> tuple[str, str]:
    """Return what is wrong and how to mend it, a line each.

    >>> two_lines(InvalidArgumentError("no 'price' (a; b); name it in a mapping", reason="X"))
    ("no 'price' (a; b)", 'name it in a mapping')
    """
    message = " ".join(error.message.split()).rstrip(".")
    if error.reason in _HINTS:
        return message, _HINTS[error.reason]
    breaks = list(_BREAK.finditer(_UNBROKEN.sub(lambda part: "_" * len(part[0]), message)))
    if breaks:
        last = breaks[-1]
        return message[: last.start()], message[last.end() :]
    return message, next(
        (hint for kind, hint in _HINTS_BY_KIND.items() if isinstance(error, kind)),
        "oriel doctor shows how the workspace stands",
    )
