"""What the engine's error numbers mean to Oriel."""

import re

from shared.errors import (
    CancelledError,
    DomainError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from shared.warehouse.port import WarehouseQueryError

_CODE = re.compile(r"Code: (\d+)")

_TIMEOUT = 159
_CANCELLED = 394
_EXHAUSTED = {
    202: "it runs too many statements at once; try again later",
    241: "the statement needs more memory than it may use; give it more or ask for less",
    243: "the disk of the warehouse is full; free some space",
    252: "too many small inserts came at once; send larger batches, or wait",
}
_UNAVAILABLE = {32, 95, 209, 210, 236, 279, 425}
_UNAUTHENTICATED = {192, 193, 194, 516}


def code_in(message: str) -> int:
    """Return the engine's error number in a message, 0 if there is none.

    >>> code_in("Code: 60. DB::Exception: Unknown table")
    60
    """
    found = _CODE.search(message)
    return int(found[1]) if found else 0


def failure(code: int, message: str) -> DomainError | WarehouseQueryError:
    """Turn an engine's refusal into the error that Oriel raises for it."""
    if code in _EXHAUSTED:
        return ResourceExhaustedError(
            f"The warehouse refused: {_EXHAUSTED[code]}.", reason="WAREHOUSE_EXHAUSTED", code=code
        )
    if code == _TIMEOUT:
        return ResourceExhaustedError(
            "The statement ran longer than the warehouse allows; ask for less or raise the limit.",
            reason="WAREHOUSE_TIMEOUT",
            code=code,
        )
    if code == _CANCELLED:
        return CancelledError("The statement was stopped.", reason="WAREHOUSE_CANCELLED", code=code)
    if code in _UNAUTHENTICATED:
        return UnauthenticatedError(
            "ClickHouse refused the user or password; check both in the settings.",
            reason="WAREHOUSE_CREDENTIALS",
            code=code,
        )
    if code in _UNAVAILABLE:
        return UnavailableError(
            "ClickHouse cannot be reached; check that it runs, then try again.",
            reason="WAREHOUSE_UNAVAILABLE",
            code=code,
        )
    return WarehouseQueryError(message, code=code)


def closed() -> UnavailableError:
    """The error of a statement that came after `close`."""
    return UnavailableError(
        "The warehouse is closed; nothing more can be asked of it.", reason="WAREHOUSE_CLOSED"
    )
