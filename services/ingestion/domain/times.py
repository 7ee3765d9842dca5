"""Instants out of columns of text, dates or numbers."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.ingestion.domain.casting import cast_or_null

Instants = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_HAS_ZONE = r"[0-9](?:[Zz]|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2})$"
_NAIVE, _AWARE = pa.timestamp("us"), pa.timestamp("us", "UTC")
_MILLISECONDS = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
LAST_MILLISECOND = 253_402_300_799_999  # the year 9999
_DISTINCT_SHARE = 4


def parse_times(
    column: pa.Array, *, zone: str, formats: Sequence[str] = (), unit: str | None = None
) -> tuple[Instants, Mask, Mask]:
    """Return milliseconds since 1970 UTC, which rows are missing, and which hold no time.

    Args:
        column: Text (ISO 8601 or one of `formats`), timestamps, dates, or numbers of `unit`.
        zone: IANA name of the zone of times that name none.
        formats: strptime formats of text, tried in order before ISO 8601.
        unit: s, ms, us or ns since 1970, for numbers; None refuses numbers.

    >>> parse_times(pa.array(["2011-12-01 10:00", "2011-12-01T10:00:00.5Z", "soon"]), zone="UTC")[0]
    array([1322733600000, 1322733600500,             0])
    """
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    is_missing = column.is_null().to_numpy(zero_copy_only=False)
    parsed = _to_milliseconds(column, zone, tuple(formats), unit)
    is_known = parsed.is_valid().to_numpy(zero_copy_only=False)
    values = parsed.fill_null(0).to_numpy(zero_copy_only=False)
    is_bad = ~is_missing & (~is_known | (values < 0) | (values > LAST_MILLISECOND))
    return np.where(is_bad, 0, values), is_missing, is_bad


def _to_milliseconds(
    column: pa.Array, zone: str, formats: tuple[str, ...], unit: str | None
) -> pa.Array:
    kind = column.type
    if pa.types.is_timestamp(kind):
        return _milliseconds(column if kind.tz else _localise(column, zone))
    if pa.types.is_date(kind):
        return _milliseconds(_localise(column.cast(pa.timestamp("ms")), zone))
    if unit and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return _from_numbers(column.cast(pa.float64(), safe=False), unit)
    if not pa.types.is_string(kind):
        return pa.nulls(len(column), pa.int64())
    if unit:
        return _from_numbers(cast_or_null(column, pa.float64()), unit)
    distinct = column.dictionary_encode()
    if len(distinct.dictionary) * _DISTINCT_SHARE < len(column):
        return _from_text(distinct.dictionary, zone, formats).take(distinct.indices)
    return _from_text(column, zone, formats)


def _from_numbers(numbers: pa.Array, unit: str) -> pa.Array:
    values = numbers.to_numpy(zero_copy_only=False) * _MILLISECONDS[unit]
    is_usable = np.isfinite(values) & (np.abs(values) <= LAST_MILLISECOND)
    whole = np.rint(np.where(is_usable, values, 0.0)).astype(np.int64)
    return pa.array(whole, mask=~is_usable)


def _from_text(texts: pa.Array, zone: str, formats: tuple[str, ...]) -> pa.Array:
    if formats:
        read = [_strict(text, formats) if text else None for text in texts.to_pylist()]
        found = _instants(read, zone)
        if found.null_count == texts.null_count:
            return found
        return pc.coalesce(found, _from_text(texts, zone, ()))
    texts = pc.utf8_trim_whitespace(texts)
    has_zone = pc.fill_null(pc.match_substring_regex(texts, _HAS_ZONE), False)
    # A date such as 2011-12-01 ends like an offset; only a time of day can carry one.
    has_zone = pc.and_(has_zone, pc.fill_null(pc.match_substring(texts, ":"), False))
    aware = pc.if_else(has_zone, texts, pa.scalar(None, pa.string()))
    naive = pc.if_else(has_zone, pa.scalar(None, pa.string()), texts)
    known = _milliseconds(cast_or_null(aware, _AWARE, _iso_aware))
    if naive.null_count == len(naive):
        return known
    local = cast_or_null(naive, _NAIVE, _iso_naive)
    return pc.coalesce(known, _milliseconds(_localise(local, zone)))


def _localise(naive: pa.Array, zone: str) -> pa.Array:
    if zone == "UTC":
        return naive.cast(pa.timestamp(naive.type.unit, "UTC"))
    return pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="latest")


def _milliseconds(instants: pa.Array) -> pa.Array:
    return instants.cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())


def _instants(moments: list[datetime | None], zone: str) -> pa.Array:
    naive = [m if m is not None and m.tzinfo is None else None for m in moments]
    aware = [m if m is not None and m.tzinfo is not None else None for m in moments]
    local = _milliseconds(_localise(pa.array(naive, _NAIVE), zone))
    return pc.coalesce(_milliseconds(pa.array(aware, _AWARE)), local)


def _strict(text: str, formats: tuple[str, ...]) -> datetime | None:
    for form in formats:
        try:
            # Naive results are localised by the caller, in one go.
            return datetime.strptime(text.strip(), form)  # noqa: DTZ007
        except ValueError:
            continue
    return None


def _iso_aware(text: str) -> Any:
    moment = _iso(text)
    return moment.astimezone(UTC) if moment is not None and moment.tzinfo else None


def _iso_naive(text: str) -> Any:
    moment = _iso(text)
    return moment if moment is not None and moment.tzinfo is None else None


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
