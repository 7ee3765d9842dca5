"""Finds the columns a mapping means, and the built-in mapping that fits a file."""

import re
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from difflib import SequenceMatcher

from services.ingestion.domain.mapping import Mapping, Role, SourceKind
from shared.errors import InvalidArgumentError

_SEGMENT_KEYS = {
    "type",
    "messageId",
    "userId",
    "anonymousId",
    "event",
    "traits",
    "originalTimestamp",
}
_LEAST_SEGMENT_KEYS = 3


def looks_like_segment(keys: Sequence[str]) -> bool:
    """Say whether the keys of a JSON object are those of Segment's spec."""
    return "type" in keys and len(_SEGMENT_KEYS & set(keys)) >= _LEAST_SEGMENT_KEYS


def bind(mapping: Mapping, columns: Sequence[str]) -> MappingOf[Role, str]:
    """Return the column of each role that the file has.

    Exact names come first; else case, spaces and punctuation do not count.

    >>> from services.ingestion.domain.mapping import Column
    >>> some = Mapping("m", SourceKind.ORDERS, "m", {Role.USER: Column(("customer_id",))})
    >>> bind(some, ["Customer ID"])
    {<Role.USER: 'user'>: 'Customer ID'}
    """
    plain: dict[str, str] = {}
    for name in columns:
        plain.setdefault(_plain(name), name)
    bound = {}
    for role, column in mapping.columns.items():
        exact = [name for name in column.names if name in columns]
        loose = [plain[_plain(name)] for name in column.names if _plain(name) in plain]
        if exact or loose:
            bound[role] = (exact or loose)[0]
    return bound


def missing_roles(mapping: Mapping, columns: Sequence[str]) -> list[Role]:
    """Return the roles that the mapping needs and the file has no column for."""
    bound = bind(mapping, columns)
    missing = [
        role for role, column in mapping.columns.items() if column.is_required and role not in bound
    ]
    people = [role for role in (Role.USER, Role.ANONYMOUS) if role in mapping.columns]
    has_person = any(r in bound or mapping.columns[r].default for r in people)
    if people and not has_person and not any(role in missing for role in people):
        missing.append(people[0])
    return missing


def detect(
    builtins: Sequence[Mapping], columns: Sequence[str], uri: str, *, has_objects: bool
) -> Mapping:
    """Return the built-in mapping that reads most columns of a file.

    Args:
        builtins: All there are.
        columns: Names in the file.
        uri: Where it is, for messages.
        has_objects: Whether its rows are JSON objects and so may be whole Segment events.

    Raises:
        InvalidArgumentError: None fits; the message lists what the nearest lacks.
    """
    if has_objects and looks_like_segment(columns):
        return next(mapping for mapping in builtins if mapping.kind is SourceKind.SEGMENT)
    _require_columns(columns, uri)
    tables = [mapping for mapping in builtins if mapping.kind is not SourceKind.SEGMENT]
    fitting = [mapping for mapping in tables if not missing_roles(mapping, columns)]
    if fitting:
        return max(fitting, key=lambda mapping: len(bind(mapping, columns)))
    raise wrong_columns(max(tables, key=lambda mapping: _likeness(mapping, columns)), columns, uri)


def check_columns(mapping: Mapping, columns: Sequence[str], uri: str) -> None:
    """Raise unless a file has every column its mapping needs, and none twice.

    Raises:
        InvalidArgumentError: With reason WRONG_COLUMNS.
    """
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise InvalidArgumentError(
            f"{uri} has more than one column {', '.join(repeated)}; rename one",
            reason="WRONG_COLUMNS",
            uri=uri,
            columns=", ".join(repeated),
        )
    if mapping.kind is not SourceKind.SEGMENT and missing_roles(mapping, columns):
        _require_columns(columns, uri)
        raise wrong_columns(mapping, columns, uri)


def wrong_columns(mapping: Mapping, columns: Sequence[str], uri: str) -> InvalidArgumentError:
    """Return the error that says which columns a file lacks and how a mapping file mends it."""
    missing = missing_roles(mapping, columns)
    free = [name for name in columns if name not in bind(mapping, columns).values()] or columns
    lines, fixes = [], []
    for role in missing:
        names = mapping.columns[role].names
        hint = _most_alike(names or (role.value,), free)
        lines.append(f"{role.value} (one of: {', '.join(names)}; nearest in the file: {hint!r})")
        fixes.append(f"{role.value}: {hint}")
    return InvalidArgumentError(
        f"{uri} has no column for {'; '.join(lines)}. Its columns are: {', '.join(columns)}. "
        f"Say which is which in a mapping file, e.g. `kind: {mapping.kind.value}` and under "
        f"`columns:` the lines `{'`, `'.join(fixes)}`, and pass it with --mapping",
        reason="WRONG_COLUMNS",
        uri=uri,
        missing=", ".join(role.value for role in missing),
        columns=", ".join(columns),
        mapping=mapping.name,
    )


def _require_columns(columns: Sequence[str], uri: str) -> None:
    if not columns:
        raise InvalidArgumentError(
            f"{uri} names no columns; its first line must be a header",
            reason="WRONG_COLUMNS",
            uri=uri,
        )


def _likeness(mapping: Mapping, columns: Sequence[str]) -> float:
    best = [
        max(_ratio(name, given) for name in column.names for given in columns)
        for column in mapping.columns.values()
        if column.names and column.is_required
    ]
    return sum(best) / max(len(best), 1)


def _most_alike(names: Sequence[str], columns: Sequence[str]) -> str:
    return max(columns, key=lambda column: max(_ratio(column, name) for name in names))


def _ratio(name: str, other: str) -> float:
    return SequenceMatcher(None, _plain(name), _plain(other)).ratio()


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
