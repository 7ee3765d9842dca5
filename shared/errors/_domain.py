"""Errors in the domain's words; transports translate them at the edge."""

from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """What sort of failure it is; the value is the number of the gRPC code."""

    CANCELLED = 1
    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class DomainError(Exception):
    """A rule was broken and somebody can do something about it.

    Args:
        message: What is wrong and how to mend it, for a person; no identifiers of users.
        reason: Stable UPPER_SNAKE_CASE word that programs may test for.
        metadata: Every variable that the message mentions, as text.
    """

    kind: ClassVar[Kind]

    def __init__(self, message: str, *, reason: str, **metadata: object) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata = {key: str(value) for key, value in metadata.items()}


class InvalidArgumentError(DomainError):
    """The request is wrong whatever the state of the system."""

    kind = Kind.INVALID_ARGUMENT


class NotFoundError(DomainError):
    """The named thing does not exist."""

    kind = Kind.NOT_FOUND


class AlreadyExistsError(DomainError):
    """The thing to create is there already."""

    kind = Kind.ALREADY_EXISTS


class FailedPreconditionError(DomainError):
    """The state of the system must change before this can work."""

    kind = Kind.FAILED_PRECONDITION


class ResourceExhaustedError(DomainError):
    """A limit was reached; try again later."""

    kind = Kind.RESOURCE_EXHAUSTED


class UnavailableError(DomainError):
    """A backend cannot be reached; try again."""

    kind = Kind.UNAVAILABLE


class CancelledError(DomainError):
    """The work was stopped because a caller asked for it."""

    kind = Kind.CANCELLED


class UnauthenticatedError(DomainError):
    """The backend refused our credentials."""

    kind = Kind.UNAUTHENTICATED
