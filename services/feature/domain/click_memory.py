"""What the sessions before a block tell of items: what is clicked on with and after what."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from services.feature.domain.click_sessions import Places, Sessions

Floats = npt.NDArray[np.float64]
Matrix = Any
"""A sparse matrix by rows; SciPy has no types."""

FARTHEST = 8
"""Clicks of a session that lie farther apart say nothing of one another."""

MOST_PARTNERS = 150
"""Items that are kept beside each item."""

NEAR_PARTNERS = 40
"""Of these the partners are looked at in turn."""

_ROWS_AT_ONCE = 4_096

LATE_SHARE = 0.1
"""The last of the sessions, which tell what is looked at lately."""


@dataclass(frozen=True)
class Memory:
    """What was learned of items by counting.

    Attributes:
        at_once: [item, item] Share of the clicks on the first that the second follows at once.
        after: [item, item] Share of what comes after the first, near clicks counting more.
        before: [item, item] The same of what comes before it.
        together: [item, item] Cosine of the sessions of two items.
        two_steps: [item, item] By way of a third item that shares sessions with both.
        lately: [item, item] As `together`, of the last sessions alone.
        sessions: [session, item] 1 where a session has clicks on an item.
        clicks: [item] Sessions that have it.
        clicks_lately: [item] The same of the last sessions.
        returns: [item] How many clicks a session that has it has on it, less one.
    """

    at_once: Matrix
    after: Matrix
    before: Matrix
    together: Matrix
    two_steps: Matrix
    lately: Matrix
    sessions: Matrix
    clicks: Floats
    clicks_lately: Floats
    returns: Floats


def remember(sessions: Sessions, end: int) -> Memory:
    """Count over the first `end` sessions; later ones are not looked at."""
    items = sessions.items[: sessions.starts[end]].astype(np.int64)
    owners, count = sessions.owners(end), len(sessions.item_ids)
    at_once = _follows(items, owners, count, 1)
    after = _follows(items, owners, count, FARTHEST)
    held = _held(items, owners, end, count)
    late = held[int(end * (1 - LATE_SHARE)) :]
    clicks = np.asarray(held.sum(axis=0), np.float64).ravel()
    clicked = np.bincount(items, minlength=count)
    together = _cosine(held)
    return Memory(
        at_once=best(_shares(at_once), MOST_PARTNERS),
        after=best(_shares(after), MOST_PARTNERS),
        before=best(_shares(after.T.tocsr()), MOST_PARTNERS),
        together=best(together, MOST_PARTNERS),
        two_steps=_two_steps(together),
        lately=best(_cosine(late), MOST_PARTNERS),
        sessions=held,
        clicks=clicks,
        clicks_lately=np.asarray(late.sum(axis=0), np.float64).ravel(),
        returns=(clicked - clicks) / (clicks + 5.0),
    )


def best(matrix: Matrix, most: int) -> Matrix:
    """Keep the highest numbers of each row."""
    kept: list[Places] = []
    for start, end in pairwise(matrix.indptr):
        if end - start <= most:
            kept.append(np.arange(start, end))
        else:
            chosen = np.argpartition(-matrix.data[start:end], most - 1)[:most]
            kept.append(start + np.sort(chosen))
    sizes = np.array([len(each) for each in kept], np.int64)
    chosen = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    places = np.concatenate([[0], np.cumsum(sizes)])
    return sparse.csr_matrix(
        (matrix.data[chosen], matrix.indices[chosen], places), shape=matrix.shape
    )


def _follows(items: Places, owners: Places, count: int, farthest: int) -> Matrix:
    """How often an item comes after another, each time over how many clicks later."""
    total = sparse.csr_matrix((count, count))
    for distance in range(1, farthest + 1):
        is_same = owners[distance:] == owners[:-distance]
        first, second = items[:-distance][is_same], items[distance:][is_same]
        weights = np.full(len(first), 1.0 / distance)
        total = total + sparse.csr_matrix((weights, (first, second)), shape=(count, count))
    return total


def _held(items: Places, owners: Places, end: int, count: int) -> Matrix:
    clicked = np.ones(len(items))
    held = sparse.csr_matrix((clicked, (owners, items)), shape=(end, count))
    held.data[:] = 1.0  # however often
    return held


def _shares(counts: Matrix) -> Matrix:
    totals = np.asarray(counts.sum(axis=1)).ravel()
    return sparse.diags(1.0 / np.maximum(totals, 1e-12)) @ counts


def _cosine(held: Matrix) -> Matrix:
    """Of the sessions of two items; that of an item with itself is left out."""
    norm = np.sqrt(np.maximum(np.asarray(held.sum(axis=0)).ravel(), 1.0))
    scaled = (held @ sparse.diags(1.0 / norm)).tocsr()
    found = (scaled.T @ scaled).tocsr()
    found = (found - sparse.diags(found.diagonal())).tocsr()
    found.eliminate_zeros()
    return found


def _two_steps(together: Matrix) -> Matrix:
    """Items of items that share sessions with one: [item, item]."""
    near = best(together, NEAR_PARTNERS)
    near = _shares(near)
    parts = [
        best((near[start : start + _ROWS_AT_ONCE] @ near).tocsr(), MOST_PARTNERS)
        for start in range(0, near.shape[0], _ROWS_AT_ONCE)
    ]
    return sparse.vstack(parts, format="csr")
