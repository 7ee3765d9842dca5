"""What is known of one piece of long work."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from shared.errors import DomainError


class State(Enum):
    """Where long work stands; the value is the number of `oriel.common.v1.State`."""

    PENDING = 1
    RUNNING = 2
    SUCCEEDED = 3
    FAILED = 4
    CANCELLED = 5

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will change."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


INTERRUPTED = "INTERRUPTED"
"""Reason of work that was under way when its process ended."""

_INTERNAL_CODE = 13


@dataclass(frozen=True)
class JobError:
    """Why work failed; `code` is the number of a gRPC code."""

    code: int
    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """Long work as a durable resource."""

    name: str
    request_id: str
    state: State
    create_time: datetime
    completed: int = 0
    total: int = 0
    unit: str = ""
    message: str = ""
    error: JobError | None = None
    end_time: datetime | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    """What the work has said so far; JSON-able."""
    request: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for; JSON-able."""


def error_of(error: BaseException) -> JobError:
    """Say what failed; a bug's own words stay in the log."""
    if isinstance(error, DomainError):
        return JobError(error.kind.value, error.reason, error.message, error.metadata)
    return JobError(_INTERNAL_CODE, "INTERNAL", "internal error; the log says more")


def interrupted(job: Job) -> Job:
    """Return work that lost its process, ended and ready to be started again."""
    error = JobError(
        14, INTERRUPTED, "the process that did this work ended; ask for it again to restart it"
    )
    return replace(job, state=State.FAILED, error=error, end_time=job.end_time or job.create_time)


def to_json(job: Job) -> dict[str, Any]:
    """Return a form that JSON can carry."""
    return {
        "format_version": 1,
        "name": job.name,
        "request_id": job.request_id,
        "state": job.state.name,
        "create_time": job.create_time.isoformat(),
        "end_time": job.end_time.isoformat() if job.end_time else None,
        "completed": job.completed,
        "total": job.total,
        "unit": job.unit,
        "message": job.message,
        "error": job.error and vars(job.error),
        "result": dict(job.result),
        "request": dict(job.request),
    }


def from_json(values: Mapping[str, Any]) -> Job:
    """Return the job that `to_json` wrote."""
    return Job(
        name=values["name"],
        request_id=values["request_id"],
        state=State[values["state"]],
        create_time=datetime.fromisoformat(values["create_time"]).astimezone(UTC),
        end_time=datetime.fromisoformat(values["end_time"]) if values["end_time"] else None,
        completed=values["completed"],
        total=values["total"],
        unit=values["unit"],
        message=values["message"],
        error=JobError(**values["error"]) if values["error"] else None,
        result=values["result"],
        request=values["request"],
    )
