"""Refusal of unknown keys and values, by name and with the nearest valid one."""

import difflib
from collections.abc import Iterable
from typing import Any

from shared.errors import InvalidArgumentError


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return the valid name most like a wrong one.

    >>> nearest("coloumns", ["kind", "columns"])
    'columns'
    """
    names = list(valid)
    matches = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.0)
    return matches[0] if matches else ""


def refuse_unknown(origin: str, place: str, given: Iterable[Any], valid: Iterable[str]) -> None:
    """Raise for the first key that is not valid.

    Raises:
        InvalidArgumentError: With reason UNKNOWN_MAPPING_KEY.
    """
    names = sorted(valid)
    for key in given:
        if key not in names:
            hint = nearest(str(key), names)
            raise InvalidArgumentError(
                f"{origin}: unknown key {key!r} in {place}; did you mean {hint!r}? "
                f"Valid: {', '.join(names)}",
                reason="UNKNOWN_MAPPING_KEY",
                origin=origin,
                key=key,
                place=place,
                nearest=hint,
            )


def bad(origin: str, place: str, what: str) -> InvalidArgumentError:
    """Return the error for a value of the wrong form."""
    return InvalidArgumentError(
        f"{origin}: {place} {what}", reason="BAD_MAPPING", origin=origin, place=place
    )
