"""Python values as the text that ClickHouse parses for `{name:Type}` parameters."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

from shared.errors import InvalidArgumentError

_PLACEHOLDER = re.compile(r"\{\s*([A-Za-z_]\w*)\s*:\s*([^{}]+?)\s*\}")
_INTEGER = re.compile(r"(U?)Int(8|16|32|64|128|256)")
_WRAPPER = re.compile(r"(?:Nullable|LowCardinality)\((.*)\)", re.DOTALL)
_ARRAY = re.compile(r"Array\((.*)\)", re.DOTALL)
_FIRST_YEAR, _LAST_YEAR = 1900, 2299
_ESCAPES = str.maketrans(
    {
        "\\": "\\\\",
        "\0": "\\0",
        "\b": "\\b",
        "\f": "\\f",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "'": "\\'",
    }
)


def render(sql: str, parameters: Mapping[str, object]) -> dict[str, str]:
    """Write each parameter as the escaped text that the engine reads back into its type.

    The engine wraps an integer that is too large for its type without a word (300 as UInt8 is 44),
    so integers are checked here against the type that the statement declares.

    >>> render("SELECT {who:String}, {ids:Array(UInt64)}", {"who": "it's", "ids": [1, 2]})
    {'who': "it\\\\'s", 'ids': '[1,2]'}

    Raises:
        InvalidArgumentError: A value has no place in its type.
    """
    types: dict[str, str] = dict(_PLACEHOLDER.findall(sql))
    return {name: _text(name, value, types.get(name, "")) for name, value in parameters.items()}


def _text(name: str, value: object, type_name: str, *, nested: bool = False) -> str:
    if value is None:
        return "NULL" if nested else "\\N"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        _check_integer(name, value, type_name)
        return str(int(value))
    if isinstance(value, float | Decimal):
        return str(value)
    if isinstance(value, str | UUID | date):
        text = (value if isinstance(value, str) else _plain(name, value)).translate(_ESCAPES)
        return f"'{text}'" if nested else text
    return _composed(name, value, type_name)


def _plain(name: str, value: UUID | date) -> str:
    if not isinstance(value, datetime):
        return str(value)
    if value.tzinfo is None:
        raise _refused(name, "a datetime without a time zone; pass an aware one")
    moment = value.astimezone(UTC)
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise _refused(name, f"a time outside the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def _composed(name: str, value: object, type_name: str) -> str:
    if isinstance(value, Mapping):
        pairs = (
            f"{_text(name, key, '', nested=True)}:{_text(name, each, '', nested=True)}"
            for key, each in value.items()
        )
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        found = _ARRAY.fullmatch(type_name)
        inner = found[1] if found else ""
        return "[" + ",".join(_text(name, each, inner, nested=True) for each in value) + "]"
    item = getattr(value, "item", None)
    if callable(item) and not getattr(value, "shape", ()):  # a numpy scalar
        return _text(name, item(), type_name)
    if hasattr(value, "tolist"):
        return _text(name, value.tolist(), type_name)
    raise _refused(name, f"a {type(value).__name__}, which ClickHouse has no text for")


def _check_integer(name: str, value: int, type_name: str) -> None:
    while wrapped := _WRAPPER.fullmatch(type_name):
        type_name = wrapped[1]
    found = _INTEGER.fullmatch(type_name)
    if not found:
        return
    bits = int(found[2])
    low, high = (0, 2**bits - 1) if found[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if not low <= value <= high:
        raise _refused(name, f"an integer outside {type_name} ({low} to {high})")


def _refused(name: str, what: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"Parameter {name} is {what}.", reason="BAD_PARAMETER", parameter=name
    )
