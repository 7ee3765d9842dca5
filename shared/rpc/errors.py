"""Our errors to and from `google.rpc.Status` with `ErrorInfo`."""

from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from shared.errors import (
    AlreadyExistsError,
    CancelledError,
    DomainError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)

DOMAIN = "oriel"
"""`ErrorInfo.domain` of every error of ours."""

INTERNAL = Status(code=grpc.StatusCode.INTERNAL.value[0], message="internal error")
"""What a client is told of a bug: nothing, since our own words may hold secrets."""

_CLASSES: dict[int, type[DomainError]] = {
    error.kind.value: error
    for error in (
        AlreadyExistsError,
        CancelledError,
        FailedPreconditionError,
        InvalidArgumentError,
        NotFoundError,
        ResourceExhaustedError,
        UnauthenticatedError,
        UnavailableError,
    )
}
_DEADLINE_EXCEEDED: int = grpc.StatusCode.DEADLINE_EXCEEDED.value[0]


def to_status(error: DomainError) -> Status:
    """Return the status that carries an error across the wire."""
    status = Status(code=error.kind.value, message=error.message)
    packed = any_pb2.Any()
    packed.Pack(ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))
    status.details.append(packed)
    return status


def from_status(status: Status) -> DomainError | None:
    """Return the error that a status carries; None when it is not one of ours to handle.

    Also for the `error` of a resource, such as a failed training run.
    """
    if status.code == _DEADLINE_EXCEEDED:
        return UnavailableError("the answer took too long; try again", reason="DEADLINE_EXCEEDED")
    kind = _CLASSES.get(status.code)
    if kind is None:
        return None
    found = error_info_of(status)
    if found is None:
        return kind(status.message, reason=grpc_code(status.code).name)
    return kind(status.message, reason=found.reason, **_safe(found))


def error_info_of(status: Status) -> ErrorInfo | None:
    """Return the details that our server put into a status."""
    for detail in status.details:
        found = ErrorInfo()
        if detail.Is(ErrorInfo.DESCRIPTOR) and detail.Unpack(found):
            return found
    return None


def error_info(error: grpc.RpcError) -> ErrorInfo:
    """Return the details of a failed call; empty ones when it has none."""
    status = _status(error)
    found = error_info_of(status) if status is not None else None
    return found or ErrorInfo()


def rebuild(error: grpc.RpcError) -> DomainError | None:
    """Return the error that a failed call stands for; None when it is a bug of the server."""
    status = _status(error)
    return from_status(status) if status is not None else None


def is_of_transport(error: Any) -> bool:
    """Say whether a call failed on its way, before or after a server of ours had it."""
    return (
        isinstance(error, grpc.Call)
        and error.code() is grpc.StatusCode.UNAVAILABLE
        and rpc_status.from_call(error) is None
    )


def _status(error: Any) -> Status | None:
    """Return what a failed call says; None when it is no failed call."""
    if not isinstance(error, grpc.Call):
        return None
    rich: Status | None = rpc_status.from_call(error)
    return rich or Status(code=error.code().value[0], message=error.details() or "")


def grpc_code(number: int) -> grpc.StatusCode:
    """Return the gRPC code with a number."""
    return next(code for code in grpc.StatusCode if code.value[0] == number)


def _safe(details: ErrorInfo) -> dict[str, str]:
    # These two are parameters of our errors, never names of variables in a message.
    return {k: v for k, v in details.metadata.items() if k not in ("message", "reason")}
