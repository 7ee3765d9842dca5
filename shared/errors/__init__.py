"""The one tree of errors that cross a service boundary.

DomainError                     a rule was broken; carries kind, reason, message, metadata
├── InvalidArgumentError        the request is wrong whatever the state
├── NotFoundError               the named thing does not exist
├── AlreadyExistsError          the thing to create is there
├── FailedPreconditionError     the state must change first, e.g. too little data
├── ResourceExhaustedError      a limit was reached; try later
├── UnavailableError            a backend cannot be reached; try again
├── CancelledError              a caller asked to stop
└── UnauthenticatedError        the backend refused the credentials
"""

from shared.errors._domain import (
    AlreadyExistsError,
    CancelledError,
    DomainError,
    FailedPreconditionError,
    InvalidArgumentError,
    Kind,
    NotFoundError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)

__all__ = [
    "AlreadyExistsError",
    "CancelledError",
    "DomainError",
    "FailedPreconditionError",
    "InvalidArgumentError",
    "Kind",
    "NotFoundError",
    "ResourceExhaustedError",
    "UnauthenticatedError",
    "UnavailableError",
]
