"""Reads mapping files, strictly."""

import codecs
from collections.abc import Mapping as MappingOf
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from services.ingestion.domain.mapping import (
    DEFAULT_NULL_VALUES,
    ROLES,
    Column,
    Limits,
    Mapping,
    Role,
    SourceKind,
)
from services.ingestion.domain.strictness import bad, nearest, refuse_unknown

KEYS = (
    "name", "kind", "source", "columns", "currency", "time_zone", "encoding", "delimiter",
    "decimal", "thousands", "null_values", "negative_price", "refund_prefix", "order_properties",
    "events", "limits",
)  # fmt: skip
"""Valid keys of a mapping file."""
_COLUMN_KEYS = ("column", "default", "formats", "unit", "optional")
_UNITS = ("s", "ms", "us", "ns")
_NEEDED = {
    SourceKind.SEGMENT: (),
    SourceKind.EVENTS: ((Role.TIME,), (Role.EVENT, Role.TYPE), (Role.USER, Role.ANONYMOUS)),
    SourceKind.ORDERS: ((Role.TIME,), (Role.UNIT_PRICE, Role.AMOUNT), (Role.USER,)),
}


def parse_mapping(text: str, origin: str = "mapping") -> Mapping:
    """Turn the text of a mapping file into a mapping.

    Args:
        text: YAML.
        origin: Where the text came from, for messages.

    Raises:
        InvalidArgumentError: A key is unknown (the nearest valid one is named) or a value wrong.
    """
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise bad(origin, "the file", f"is not YAML: {error}") from error
    if not isinstance(tree, dict):
        raise bad(origin, "the file", "must hold `key: value` lines, `kind:` among them")
    refuse_unknown(origin, "the mapping", tree, KEYS)
    kind = _kind(tree.get("kind"), origin)
    columns = _columns(tree.get("columns") or {}, kind, origin)
    like = _most_like(kind, columns)
    name = _text(tree, "name", like, origin)
    default_source = "segment" if name == "events" else name
    currency = tree.get("currency")
    return Mapping(
        name=name,
        kind=kind,
        source=_text(tree, "source", default_source, origin),
        columns=columns,
        text=text,
        currency=None if currency is None else str(currency).upper(),
        time_zone=_zone(tree.get("time_zone"), origin),
        encoding=_encoding(_text(tree, "encoding", "utf-8", origin), origin),
        delimiter=_delimiter(tree.get("delimiter"), origin),
        decimal=_text(tree, "decimal", ".", origin),
        thousands=_text(tree, "thousands", "", origin),
        null_values=_texts(
            tree.get("null_values", list(DEFAULT_NULL_VALUES)), "null_values", origin
        ),
        accepts_negative_price=_choice(tree, "negative_price", ("reject", "accept"), origin)
        == "accept",
        refund_prefix=_text(tree, "refund_prefix", "", origin),
        order_properties=_texts(tree.get("order_properties", []), "order_properties", origin),
        events=_renames(tree.get("events") or {}, origin),
        limits=_limits(tree.get("limits") or {}, origin),
    )


def _kind(value: Any, origin: str) -> SourceKind:
    valid = [kind.value for kind in SourceKind]
    if value not in valid:
        hint = nearest(str(value), valid)
        raise bad(origin, "kind", f"is {value!r}; did you mean {hint!r}? Valid: {', '.join(valid)}")
    return SourceKind(value)


def _most_like(kind: SourceKind, columns: MappingOf[Role, Column]) -> str:
    """Name a nameless mapping as the built-in one of its kind, so that both give equal ids."""
    if kind is SourceKind.ORDERS:
        return "order_lines" if Role.ORDER in columns else "transactions"
    return str(kind.value)


def _columns(tree: Any, kind: SourceKind, origin: str) -> MappingOf[Role, Column]:
    if not isinstance(tree, dict):
        raise bad(origin, "columns", "must map a meaning to a column, such as `time: created_at`")
    refuse_unknown(origin, "columns", tree, [role.value for role in ROLES[kind]])
    columns = {Role(key): _column(value, f"columns.{key}", origin) for key, value in tree.items()}
    for alternatives in _NEEDED[kind]:
        if not any(role in columns for role in alternatives):
            wanted = " or ".join(role.value for role in alternatives)
            raise bad(origin, "columns", f"must say which column is {wanted}")
    return columns


def _column(value: Any, place: str, origin: str) -> Column:
    if isinstance(value, str):
        return Column((value,))
    if isinstance(value, list):
        return Column(_texts(value, place, origin))
    if not isinstance(value, dict):
        raise bad(origin, place, "must be a column name, a list of names, or `{column: …}`")
    refuse_unknown(origin, place, value, _COLUMN_KEYS)
    names = value.get("column", [])
    default = value.get("default")
    unit = value.get("unit")
    if unit is not None and unit not in _UNITS:
        raise bad(origin, f"{place}.unit", f"is {unit!r}; valid: {', '.join(_UNITS)}")
    if not names and default is None:
        raise bad(origin, place, "needs `column` or `default`")
    formats = value.get("formats", [])
    return Column(
        names=_texts([names] if isinstance(names, str) else names, f"{place}.column", origin),
        default=None if default is None else str(default),
        formats=_texts([formats] if isinstance(formats, str) else formats, place, origin),
        unit=unit,
        is_required=not value.get("optional", False) and default is None,
    )


def _text(tree: MappingOf[str, Any], key: str, default: str, origin: str) -> str:
    value = tree.get(key, default)
    if not isinstance(value, str):
        raise bad(origin, key, f"must be text, not {value!r}; put quotes around it")
    return value


def _texts(value: Any, place: str, origin: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise bad(origin, place, "must be a list of texts; put quotes around numbers")
    return tuple(value)


def _choice(tree: MappingOf[str, Any], key: str, valid: tuple[str, ...], origin: str) -> str:
    value = tree.get(key, valid[0])
    if value not in valid:
        raise bad(origin, key, f"is {value!r}; valid: {', '.join(valid)}")
    return str(value)


def _zone(value: Any, origin: str) -> str | None:
    if value is None:
        return None
    try:
        ZoneInfo(str(value))
    except (KeyError, ValueError, OSError) as error:
        raise bad(
            origin, "time_zone", f"is {value!r}, not an IANA name such as Europe/London"
        ) from error
    return str(value)


def _encoding(name: str, origin: str) -> str:
    try:
        found = codecs.lookup(name).name
    except LookupError as error:
        raise bad(origin, "encoding", f"{name!r} is unknown; try latin-1 or cp1252") from error
    if found.startswith(("utf-16", "utf-32")):
        raise bad(origin, "encoding", f"{name!r} is not byte by byte; save the file as UTF-8")
    return found


def _delimiter(value: Any, origin: str) -> str | None:
    if value is not None and (not isinstance(value, str) or len(value.encode()) != 1):
        raise bad(origin, "delimiter", 'must be one character, such as ";" or "\\t"')
    return value


def _renames(value: Any, origin: str) -> MappingOf[str, str]:
    is_plain = isinstance(value, dict) and all(
        isinstance(text, str) for pair in value.items() for text in pair
    )
    if not is_plain:
        raise bad(origin, "events", "must map names to names, such as `purchase: Order Completed`")
    return dict(value)


def _limits(tree: Any, origin: str) -> Limits:
    if not isinstance(tree, dict):
        raise bad(origin, "limits", "must map a limit to a number")
    refuse_unknown(origin, "limits", tree, ("field_bytes", "future_days"))
    for key, value in tree.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise bad(origin, f"limits.{key}", f"must be a number above 0, not {value!r}")
    return Limits(**tree)
