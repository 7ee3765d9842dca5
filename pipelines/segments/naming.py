"""Names that say what sets a group of customers apart, by rules."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations, count

AXES = ("recency_days", "tenure_days", "orders_ever", "basket_mean")
"""Features that names speak of."""

NOT_ORDERED = "Not ordered yet"
"""Those whom no group holds, whose id is 0."""

APART = 0.1
"""A group whose mean place among all customers is this far from the middle stands apart."""

_WORDS: Mapping[str, tuple[str, str]] = {
    "recency_days": ("recent", "lapsed"),
    "tenure_days": ("new", "long-standing"),
    "orders_ever": ("rare", "frequent"),
    "basket_mean": ("small baskets", "big baskets"),
}
_ONE_TIME = "one-time"
_NOUN_AXIS, _NOUN = "basket_mean", "buyers"


def named(standing: Mapping[str, float], median_orders: float, taken: Collection[str]) -> str:
    """A name that is not taken: the two things that set the group apart most, more where needed.

    Args:
        standing: Mean place of the group among all customers by axis, 0 to 1.
        median_orders: Of the customers in it.
        taken: Names of other groups, in use or retired.

    >>> standing = dict(zip(AXES, (0.3, 0.5, 0.8, 0.9), strict=True))
    >>> named(standing, 7, ())
    'Frequent big baskets'
    >>> named(standing, 7, {"Frequent big baskets"})
    'Recent frequent big baskets'
    """
    return next(name for name in _candidates(standing, median_orders) if name not in taken)


def _candidates(standing: Mapping[str, float], median_orders: float) -> Iterator[str]:
    apart = [axis for axis in AXES if abs(standing[axis] - 0.5) >= APART]
    apart.sort(key=lambda axis: -abs(standing[axis] - 0.5))
    parts = {axis: _part(axis, standing[axis], median_orders) for axis in AXES}
    chosen = [apart[:2], *(apart[:size] for size in range(3, len(apart) + 1))]
    chosen += [pair for size in (2, 3) for pair in map(list, combinations(apart, size))]
    for axes in chosen:
        yield _composed(axes, parts)
    first = _composed(chosen[0], parts)
    yield from (f"{first} {number}" for number in count(2))


def _part(axis: str, standing: float, median_orders: float) -> str:
    if axis == "orders_ever" and standing < 0.5 and median_orders <= 1:
        return _ONE_TIME
    return _WORDS[axis][standing > 0.5]


def _composed(axes: Sequence[str], parts: Mapping[str, str]) -> str:
    """Adjectives in the order of AXES, then what is said of the basket, or "buyers"."""
    words = [parts[axis] for axis in AXES if axis in axes]
    if not words:
        words = ["ordinary"]
    if _NOUN_AXIS not in axes:
        words.append(_NOUN)
    text = " ".join(words)
    return text[0].upper() + text[1:]
