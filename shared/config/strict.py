"""Reads the YAML of prediction files strictly: every mistake is named with what would be right."""

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import yaml

from shared.errors import InvalidArgumentError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_DURATION = re.compile(r"(\d{1,5})([dw])")
_LONGEST_DAYS = 3_650


def document(text: str) -> Any:
    """Return what a YAML text says.

    Raises:
        InvalidArgumentError: It is not YAML, or a key is given twice.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        raise refusal("", f"the text is not YAML: {error}") from error


def mapping(field_name: str, value: Any, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """Return a mapping that has no other keys than these."""
    if not isinstance(value, dict):
        raise refusal(field_name, f"must be a mapping with the keys {', '.join(keys)}")
    for key in value:
        if key not in keys:
            prefix = f"{field_name}." if field_name else ""
            raise refusal(f"{prefix}{key}", unknown(str(key), keys))
    return value


def require(values: Mapping[str, Any], keys: Iterable[str]) -> None:
    """Refuse a mapping that lacks one of these keys."""
    for key in keys:
        if key not in values:
            raise refusal(key, "it is required")


def name(value: Any) -> str:
    """Return the name of a prediction file."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise refusal("name", f"{value!r} must be lower case letters, digits and underscores")
    return value


def model(value: Any) -> Mapping[str, Any]:
    """Return the model's configuration, which training reads."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise refusal("model", "must be a mapping with a 'type', such as {type: mlp}")
    return value


def whole(field_name: str, value: Any, least: int, most: int) -> int:
    """Return a whole number within its limits."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refusal(field_name, f"{value!r} must be a whole number between {least} and {most}")
    return value


def number(field_name: str, value: Any, least: float, most: float) -> float:
    """Return a number within its limits; YAML reads 1e-3 as a text and 0.001 as a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise refusal(
            field_name,
            f"{value!r} must be a number between {least:g} and {most:g}, written like 0.001",
        )
    return float(value)


def duration(field_name: str, value: Any, *, least: int) -> timedelta:
    """Return a number of days or weeks, at least so many days."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise refusal(field_name, f"{value!r} must be days or weeks, such as 90d or 12w")
    days = int(match[1]) * (7 if match[2] == "w" else 1)
    if not least <= days <= _LONGEST_DAYS:
        raise refusal(field_name, f"{value!r} must lie between {least}d and {_LONGEST_DAYS}d")
    return timedelta(days=days)


def unknown(word: str, known: Iterable[str]) -> str:
    """Return the words for an unknown name and the nearest known one.

    >>> unknown("horizont", ("name", "horizon"))
    "'horizont' is unknown; did you mean 'horizon'?"
    """
    nearest = difflib.get_close_matches(word, list(known), n=1, cutoff=0.0)[0]
    return f"{word!r} is unknown; did you mean {nearest!r}?"


def refusal(field_name: str, problem: str) -> InvalidArgumentError:
    """Return the error for one field of a prediction file."""
    where = f"prediction file, {field_name}" if field_name else "prediction file"
    return InvalidArgumentError(
        f"{where}: {problem}", reason="PREDICTION_FILE_INVALID", field=field_name
    )


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key given twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Read a mapping whose keys are all different."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(set(map(str, keys))) != len(keys):
            raise yaml.constructor.ConstructorError(
                None, None, "a key is given twice", node.start_mark
            )
        return super().construct_mapping(node, deep)
