"""The items that a session had before a click: which, how lately and how often."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from services.feature.domain.click_sessions import FIRST_ASKED, Places, Sessions

LONGEST = 40
"""Of a session this many clicks before the one asked about are looked at."""

_FADING = 0.75


@dataclass(frozen=True)
class Asked:
    """Clicks that are asked about: the session of each, and how many clicks came before it."""

    sessions: Places
    positions: Places

    def __len__(self) -> int:
        return len(self.sessions)

    def part(self, chosen: slice) -> "Asked":
        """Return some of them."""
        return Asked(self.sessions[chosen], self.positions[chosen])


@dataclass(frozen=True)
class Own:
    """Different items before each click, the latest first.

    Attributes:
        row_count: Clicks that are asked about.
        rows: [own] Click that the item is before; ascending.
        items: [own]
        ranks: [own] How many other items were clicked on since.
        ages: [own] How many clicks ago it was clicked on last.
        first_ages: [own] How many clicks ago it was clicked on first.
        counts: [own] How often it was clicked on.
        has_followed: [own] Whether it came right after an earlier click on the last item.
    """

    row_count: int
    rows: Places
    items: Places
    ranks: Places
    ages: Places
    first_ages: Places
    counts: Places
    has_followed: npt.NDArray[np.bool_]

    def weighted(self, weights: npt.NDArray[Any], item_count: int) -> Any:
        """Return a sparse matrix [row, item] with these weights."""
        shape = (self.row_count, item_count)
        return sparse.csr_matrix((weights, (self.rows, self.items)), shape=shape)

    def at_rank(self, rank: int, item_count: int) -> Any:
        """Return a sparse matrix [row, item] that has 1 at the item of that rank."""
        chosen = self.ranks == rank
        shape = (self.row_count, item_count)
        ones = np.ones(int(chosen.sum()))
        return sparse.csr_matrix((ones, (self.rows[chosen], self.items[chosen])), shape=shape)

    def fading(self, item_count: int) -> Any:
        """Return a sparse matrix [row, item] in which earlier items count less."""
        return self.weighted(_FADING**self.ranks, item_count)

    def per_row(self) -> Places:
        """Return how many different items each row has."""
        return np.bincount(self.rows, minlength=self.row_count)


def asked_of(sessions: Sessions, first: int, end: int) -> Asked:
    """Return the clicks of these sessions that are asked about."""
    counts = np.maximum(sessions.lengths[first:end] - FIRST_ASKED, 0)
    positions = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return Asked(np.repeat(np.arange(first, end), counts), positions + FIRST_ASKED)


def answers_of(sessions: Sessions, asked: Asked) -> Places:
    """Return the items that were clicked on."""
    clicks = sessions.starts[asked.sessions] + asked.positions
    found: Places = sessions.items[clicks].astype(np.int64)
    return found


def own_of(sessions: Sessions, asked: Asked) -> Own:
    """Look at the clicks before each one that is asked about, and at no other."""
    counts = np.minimum(asked.positions, LONGEST)
    rows = np.repeat(np.arange(len(asked)), counts)
    ages = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    last = sessions.starts[asked.sessions] + asked.positions - 1
    items = sessions.items[last[rows] - ages].astype(np.int64)
    has_followed = np.zeros(len(rows), np.bool_)
    comes_after = items[1:] == sessions.items[last[rows[:-1]]]
    has_followed[:-1] = comes_after & (rows[1:] == rows[:-1])
    # By row and item, the latest click of each first, as ages ascend within a row.
    order = np.lexsort((ages, items, rows))
    rows, ages = rows[order], ages[order]
    items, has_followed = items[order], has_followed[order]
    is_new = np.ones(len(rows), np.bool_)
    is_new[1:] = (np.diff(rows) != 0) | (np.diff(items) != 0)
    first = np.flatnonzero(is_new)
    sizes = np.diff(np.append(first, len(rows)))
    rows, items, newest, oldest = rows[first], items[first], ages[first], ages[first + sizes - 1]
    has_followed = np.logical_or.reduceat(has_followed, first)
    order = np.lexsort((newest, rows))
    rows = rows[order]
    starts = np.searchsorted(rows, np.arange(len(asked)))
    ranks = np.arange(len(rows)) - starts[rows]
    return Own(
        row_count=len(asked),
        rows=rows,
        items=items[order],
        ranks=ranks,
        ages=newest[order],
        first_ages=oldest[order],
        counts=sizes[order],
        has_followed=has_followed[order],
    )
