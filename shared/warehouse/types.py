"""ClickHouse's types as Arrow's, the way the embedded engine writes them."""

import re
from collections.abc import Callable

import pyarrow as pa

from shared.warehouse.port import WarehouseQueryError

_PLAIN = {
    "Bool": pa.bool_(),
    "String": pa.string(),
    "Date": pa.date32(),
    "Date32": pa.date32(),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    **{f"Int{bits}": pa.type_for_alias(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": pa.type_for_alias(f"uint{bits}") for bits in (8, 16, 32, 64)},
    "Nothing": pa.null(),
}
_SPEC = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)
_UNITS = ((0, "s"), (3, "ms"), (6, "us"), (9, "ns"))
_DECIMAL_DIGITS = {"Decimal32": 9, "Decimal64": 18, "Decimal128": 38}


def field(name: str, spec: str) -> pa.Field:
    """Return the Arrow field of a column; only a Nullable one is nullable.

    >>> field("tags", "Array(LowCardinality(String))")
    pyarrow.Field<tags: list<item: string not null> not null>

    Raises:
        WarehouseQueryError: Oriel does not read this type; the statement has to cast it.
    """
    family, inner = _parted(spec)
    if family == "LowCardinality":
        return field(name, inner)
    if family == "Nullable":
        return field(name, inner).with_nullable(True)
    return pa.field(name, _type(spec), nullable=family == "Nothing")


def arguments(text: str) -> list[str]:
    """Cut the arguments of a type at its outermost commas.

    >>> arguments("String, Map(String, Bool)")
    ['String', 'Map(String, Bool)']
    """
    parts, depth, start = [], 0, 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append(text[start:position].strip())
            start = position + 1
    return [*parts, text[start:].strip()]


def _parted(spec: str) -> tuple[str, str]:
    found = _SPEC.fullmatch(spec.strip())
    if not found:
        raise _unknown(spec)
    return found[1], found[2] or ""


def _type(spec: str) -> pa.DataType:
    family, inner = _parted(spec)
    if family in _PLAIN:
        return _PLAIN[family]
    build = _BUILDERS.get(family)
    if build is None:
        raise _unknown(spec)
    return build(family, inner)


def _array(_: str, inner: str) -> pa.DataType:
    return pa.list_(field("item", inner))


def _map(_: str, inner: str) -> pa.DataType:
    key, value = arguments(inner)
    return pa.map_(field("key", key), field("value", value))


def _fixed_string(_: str, inner: str) -> pa.DataType:
    return pa.binary(int(inner))


def _date_time(_: str, __: str) -> pa.DataType:
    # The engine writes a DateTime as bare seconds; a time that Oriel stores is a DateTime64.
    return pa.uint32()


def _date_time_64(_: str, inner: str) -> pa.DataType:
    precision, *zone = arguments(inner)
    unit = next(unit for digits, unit in _UNITS if int(precision) <= digits)
    return pa.timestamp(unit, tz=zone[0].strip("'") if zone else "UTC")


def _decimal(family: str, inner: str) -> pa.DataType:
    digits = [int(part) for part in arguments(inner)]
    return pa.decimal128(*([_DECIMAL_DIGITS[family]] if family in _DECIMAL_DIGITS else []), *digits)


_BUILDERS: dict[str, Callable[[str, str], pa.DataType]] = {
    "Array": _array,
    "Map": _map,
    "FixedString": _fixed_string,
    "DateTime": _date_time,
    "DateTime64": _date_time_64,
    "Decimal": _decimal,
    "Decimal32": _decimal,
    "Decimal64": _decimal,
    "Decimal128": _decimal,
}


def _unknown(spec: str) -> WarehouseQueryError:
    return WarehouseQueryError(f"Oriel does not read {spec}; cast it in the statement")
