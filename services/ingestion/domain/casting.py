"""Casts of columns in which a few values may not fit."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

_SMALLEST_BLOCK = 64


def cast_or_null(
    column: pa.Array, kind: pa.DataType, one: Callable[[str], Any] | None = None
) -> pa.Array:
    """Cast text, with null where it does not fit.

    Blocks that fail are halved, so a few bad values in a large column cost little.

    Args:
        column: Text.
        kind: Type wanted.
        one: Reads one value that the cast refuses, or returns None.

    >>> cast_or_null(pa.array(["1", "x", "3"]), pa.int64()).to_pylist()
    [1, None, 3]
    """
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass
    if len(column) <= _SMALLEST_BLOCK:
        return pa.array([_single(value, kind, one) for value in column], kind)
    half = len(column) // 2
    parts = (column.slice(0, half), column.slice(half))
    return pa.concat_arrays([cast_or_null(part, kind, one) for part in parts])


def _single(value: pa.Scalar, kind: pa.DataType, one: Callable[[str], Any] | None) -> Any:
    if not value.is_valid:
        return None
    try:
        return value.cast(kind).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return one(value.as_py()) if one else None
