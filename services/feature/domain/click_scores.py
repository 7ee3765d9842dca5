"""How items go with the clicks before one that is asked about, in several ways."""

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from services.feature.domain.click_memory import Matrix, Memory, best
from services.feature.domain.click_own import Own
from services.feature.domain.click_sessions import Places

NEIGHBOURS = 150
"""Sessions like the one at hand that are looked at."""

SCORES = (
    *("at_once", "at_once_before", "after", "before"),
    *("together_last", "together", "two_steps", "lately", "neighbours"),
)

OWN_FIRST = 1_000.0
_LISTED = 20

RULES = ("own_then_markov", "session_knn", "own_then_session_knn")
"""Items of the session by how lately and then what follows the last click at once; what sessions
like this one have; items of the session and then those."""


def scores_of(own: Own, memory: Memory) -> dict[str, Matrix]:
    """Return sparse matrices [row, item] by name, each at most about 1."""
    count = len(memory.clicks)
    last, fading = own.at_rank(0, count), own.fading(count)
    return {
        "at_once": last @ memory.at_once,
        "at_once_before": own.at_rank(1, count) @ memory.at_once,
        "after": fading @ memory.after,
        "before": fading @ memory.before,
        "together_last": last @ memory.together,
        "together": fading @ memory.together,
        "two_steps": fading @ memory.two_steps,
        "lately": fading @ memory.lately,
        "neighbours": _neighbours(fading, memory),
    }


def rule_places(own: Own, scores: Mapping[str, Matrix], answers: Places) -> Places:
    """Return where each rule puts what was clicked on [row, rule], from 1; 0 after the 20th."""
    markov, neighbours = (to_most(scores[name]) for name in ("at_once", "neighbours"))
    first = own_first(own, markov.shape[1])
    ruled = (first + 0.5 * markov, neighbours, first + 0.5 * neighbours)
    return np.stack([_places(each, answers) for each in ruled], axis=1)


def own_first(own: Own, item_count: int) -> Matrix:
    """Return a sparse matrix [row, item] that puts own items before all others, latest first."""
    return own.weighted(OWN_FIRST - own.ranks, item_count)


def to_most(matrix: Matrix) -> Matrix:
    """Divide each row by its highest number."""
    most = np.asarray(matrix.max(axis=1).todense()).ravel()
    return (sparse.diags(1.0 / np.maximum(most, 1e-12)) @ matrix).tocsr()


def values_at(matrix: Matrix, items: Places) -> Matrix:
    """Return the numbers at items [row, candidate]; a place without an item gives any number."""
    matrix.sum_duplicates()
    rows = np.repeat(np.arange(len(items)), items.shape[1])
    return np.asarray(matrix[rows, np.maximum(items, 0).ravel()]).reshape(items.shape)


def _neighbours(fading: Matrix, memory: Memory) -> Matrix:
    """Items of sessions by how like these are to the one at hand."""
    sizes = np.asarray(memory.sessions.sum(axis=1)).ravel()
    scaled = sparse.diags(1.0 / np.sqrt(np.maximum(sizes, 1.0))) @ memory.sessions
    rare = sparse.diags(1.0 / np.sqrt(np.maximum(memory.clicks, 1.0)))
    alike = best((fading @ rare @ scaled.T).tocsr(), NEIGHBOURS)
    return to_most((alike @ memory.sessions).tocsr())


def _places(matrix: Matrix, answers: Places) -> Places:
    """Where answers stand when items are put in falling order; equal ones by number."""
    matrix.sum_duplicates()
    score = np.asarray(matrix[np.arange(len(answers)), answers]).ravel()
    rows = np.repeat(np.arange(len(answers)), np.diff(matrix.indptr))
    mine = score[rows]
    is_ahead = (matrix.data > mine) | ((matrix.data == mine) & (matrix.indices < answers[rows]))
    places = np.bincount(rows[is_ahead], minlength=len(answers)) + 1
    return np.where((score > 0) & (places <= _LISTED), places, 0)
