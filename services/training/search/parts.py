"""Parts of the rows that settings are tried on: never those that the run is judged on."""

from dataclasses import dataclass

import numpy as np

from services.training.runs.rows import DAY, NumpyArray, Rows, groups
from shared.dataset.tables import TableRows

_MOST_WINDOWS = 2
_GROUPS = 3
_LEAST_ROWS, _LEAST_OF_EACH_KIND = 300, 30
_HOUR = DAY // 24


@dataclass(frozen=True)
class Part:
    """Masks over rows: what settings are fitted to, and what they are judged on."""

    train: NumpyArray
    test: NumpyArray


@dataclass(frozen=True)
class Parts:
    """Parts, the first of which is tried first, and how they were cut, in words."""

    parts: tuple[Part, ...]
    words: str


def parts_of_users(rows: Rows, horizon_days: int) -> Parts:
    """The latest windows that earlier instants can be judged on, else groups of users.

    Args:
        rows: Of the instants that the model to judge is trained on, and no later ones.
        horizon_days: Length of a label window; none that is fitted to reaches into one that judges.
    """
    # An hour of daylight saving is no overlap.
    ends = rows.as_ofs + horizon_days * DAY - 2 * _HOUR
    windows = [Part(ends <= as_of, rows.as_ofs == as_of) for as_of in np.unique(rows.as_ofs)]
    enough = [each for each in windows if _is_enough(rows, each)][-_MOST_WINDOWS:]
    if len(enough) == _MOST_WINDOWS:
        return Parts(tuple(enough), f"the {_MOST_WINDOWS} latest windows before it")
    # Other groups than those of the members, which go by the same hash.
    group = groups(rows.user_keys ^ np.uint64(0x9E3779B97F4A7C15), _GROUPS)
    parts = tuple(Part(group != number, group == number) for number in range(_GROUPS))
    return Parts(parts, f"{_GROUPS} groups of customers within the training instants")


def first_folds(fold_count: int) -> int:
    """How many folds of a table are kept for choosing settings, of which none is judged then.

    >>> [first_folds(count) for count in (2, 3, 5, 10)]
    [1, 1, 2, 4]
    """
    return max(1, fold_count * 2 // 5)


def parts_of_table(rows: TableRows) -> Parts:
    """Groups of rows that stay together."""
    found, place = np.unique(rows.groups, return_inverse=True)
    group = groups(found ^ np.uint64(0x9E3779B97F4A7C15), _GROUPS)[place]
    parts = tuple(Part(group != number, group == number) for number in range(_GROUPS))
    return Parts(parts, f"{_GROUPS} groups of rows")


def _is_enough(rows: Rows, part: Part) -> bool:
    for mask in (part.train, part.test):
        is_active = rows.is_active[mask & rows.eligible]
        few = min(int(is_active.sum()), int((~is_active).sum()))
        if len(is_active) < _LEAST_ROWS or few < _LEAST_OF_EACH_KIND:
            return False
    return True
