"""What two versions were asked for, fitted to and judged on, where it differs."""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.registry import ModelVersion

_TOLD = (
    "config",
    "search",
    "dataset_hash",
    "feature_set_version",
    "features",
    "columns",
    "excluded",
    "eligible_rule",
    "segment_limits_micros",
    "row_count",
    "final.row_count",
    "final.train_as_ofs",
    "fold.train_as_ofs",
    "fold.test_as_of",
    "fold.row_count",
    "jax_version",
)
"""Parts of a manifest, and of its evaluation's fold, that are chosen or come with the data."""


def differing(
    first: ModelVersion,
    second: ModelVersion,
    folds: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> tuple[tuple[str, str, str], ...]:
    """The name of each setting that differs, with that of the first and of the second.

    Args:
        first: A version.
        second: Another.
        folds: What each was judged on, as its evaluation says.
    """
    one, other = (
        _told({**version.manifest, "fold": fold})
        for version, fold in zip((first, second), folds, strict=True)
    )
    names = [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
    return tuple((name, *_texts(one.get(name), other.get(name))) for name in names)


def text(value: Any) -> str:
    """A setting in words; empty where there is none.

    >>> text(["a", "b"]), text(None), text(0.5)
    ('a, b', '', '0.5')
    """
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in _flat(values)
        if any(name == each or name.startswith(f"{each}.") for each in _TOLD)
    }


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _texts(one: Any, other: Any) -> tuple[str, str]:
    """Of lists, how long each is and what it has alone."""
    if not (isinstance(one, list) and isinstance(other, list)):
        return text(one), text(other)
    return _alone(one, other), _alone(other, one)


def _alone(here: list[Any], there: list[Any]) -> str:
    own = [each for each in here if each not in there]
    return f"{len(here)}, only here: {text(own)}" if own else str(len(here))
