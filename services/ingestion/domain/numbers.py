"""Numbers and money out of columns of text or numbers."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.ingestion.domain.casting import cast_or_null

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MICROS = 1_000_000
LARGEST_AMOUNT = 1e11
"""Currency units in one amount; beyond it sums of micros could leave 64 bits."""


def parse_numbers(
    column: pa.Array, *, decimal: str = ".", thousands: str = ""
) -> tuple[Floats, Mask, Mask]:
    """Return values (0 where unknown), which rows are missing, and which hold no number.

    Currency signs and spaces around a number are no fault. Infinite and not-a-number values of
    text are; in a numeric column not-a-number means missing, as other tools write it.

    >>> values, is_missing, is_bad = parse_numbers(pa.array(["1.5", None, "x", " £2 "]))
    >>> values.tolist(), is_missing.tolist(), is_bad.tolist()
    ([1.5, 0.0, 0.0, 2.0], [False, True, False, False], [False, False, True, False])
    """
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    is_missing = column.is_null().to_numpy(zero_copy_only=False)
    is_text = pa.types.is_string(column.type)
    if is_text:
        parsed = _from_text(column, decimal, thousands)
    elif _is_numeric(column.type):
        parsed = column.cast(pa.float64(), safe=False)
    else:
        parsed = pa.nulls(len(column), pa.float64())
    is_known = parsed.is_valid().to_numpy(zero_copy_only=False)
    values = parsed.fill_null(0.0).to_numpy(zero_copy_only=False).astype(np.float64)
    if not is_text:
        is_missing = is_missing | np.isnan(values)
    is_bad = ~is_missing & (~is_known | ~np.isfinite(values))
    return np.where(is_bad | is_missing, 0.0, values), is_missing, is_bad


def to_micros(values: Floats) -> npt.NDArray[np.int64]:
    """Return money in millionths, halves to even.

    >>> to_micros(np.array([2.55, -0.1])).tolist()
    [2550000, -100000]
    """
    return np.rint(np.clip(values, -LARGEST_AMOUNT, LARGEST_AMOUNT) * MICROS).astype(np.int64)


def times(quantities: Floats, price_micros: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return quantity times price, exact for whole quantities, halves to even for others."""
    is_whole = quantities == np.rint(quantities)
    whole = np.where(is_whole, quantities, 0.0).astype(np.int64) * price_micros
    if is_whole.all():
        return whole
    return np.where(is_whole, whole, np.rint(quantities * price_micros).astype(np.int64))


def _from_text(column: pa.Array, decimal: str, thousands: str) -> pa.Array:
    plain = cast_or_null(column, pa.float64()) if decimal == "." and not thousands else None
    if plain is not None and plain.null_count == column.null_count:
        return plain
    texts = pc.replace_substring_regex(column, r"^[\s£$€]+|[\s£$€%]+$", "")
    if thousands:
        texts = pc.replace_substring(texts, thousands, "")
    if decimal != ".":
        # A stray point would turn 1.234,5 into another number; without `thousands` it is a fault.
        is_pointed = pc.match_substring(texts, ".")
        texts = pc.if_else(is_pointed, pa.scalar("?"), pc.replace_substring(texts, decimal, "."))
    return cast_or_null(texts, pa.float64())


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )
