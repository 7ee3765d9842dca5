"""Clicks that are asked about beside the items that may come next, with what is known of each."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from services.feature.domain.click_memory import Floats, Matrix, Memory, remember
from services.feature.domain.click_own import LONGEST, Asked, Own, answers_of, asked_of, own_of
from services.feature.domain.click_scores import (
    SCORES,
    own_first,
    rule_places,
    scores_of,
    to_most,
    values_at,
)
from services.feature.domain.click_sessions import Places, Sessions
from shared.dataset.clicks import NONE, ClickBlock, ClickRows

CANDIDATES = 60

FEATURES = (
    *("own", "own_last", "own_second", "own_third", "own_age", "own_first_age", "own_count"),
    "own_has_followed",
    *SCORES,
    *("clicks", "clicks_lately", "returns"),
    *("session_length", "session_items", "last_is_return", "last_clicks"),
)
"""Names of what is known of a click and a candidate, in the order of a row's last axis."""

_ROWS_AT_ONCE = 4_096
_ADDED = 1e-3
_DECIMALS = 3


def click_rows(sessions: Sessions, block: ClickBlock) -> Iterator[ClickRows]:
    """Yield the rows of a block, some at a time; what is known is from the sessions before it."""
    memory = remember(sessions, block.first_session)
    asked = asked_of(sessions, block.first_session, block.end_session)
    for start in range(0, len(asked), _ROWS_AT_ONCE):
        yield _rows(sessions, asked.part(slice(start, start + _ROWS_AT_ONCE)), memory)


def _rows(sessions: Sessions, asked: Asked, memory: Memory) -> ClickRows:
    own, answers = own_of(sessions, asked), answers_of(sessions, asked)
    scores = scores_of(own, memory)
    mean = sum(to_most(each) for each in scores.values()) / len(scores)
    items = candidates(own_first(own, len(memory.clicks)) + 0.5 * mean, CANDIDATES)
    is_there = items != NONE
    known = {
        **_of_own(own, items.shape),
        **{name: np.log(values_at(scores[name], items) + _ADDED) for name in SCORES},
        **_of_items(memory, items),
        **_of_sessions(own, memory, asked, items.shape),
    }
    features = np.stack([known[name] for name in FEATURES], axis=-1)
    features = np.where(is_there[..., None], np.round(features, _DECIMALS), 0)
    is_answer = items == answers[:, None]
    return ClickRows(
        sessions=asked.sessions.astype(np.int32),
        positions=asked.positions.astype(np.int32),
        items=items.astype(np.int32),
        is_own=(known["own"] > 0) & is_there,
        features=features.astype(np.float16),
        answers=np.where(is_answer.any(axis=1), is_answer.argmax(axis=1), NONE).astype(np.int32),
        rule_places=rule_places(own, scores, answers).astype(np.int32),
    )


def candidates(total: Matrix, most: int) -> Places:
    """Return the items of the highest numbers of each row, the highest first, then `NONE`.

    Args:
        total: Sparse matrix [row, item].
        most: Places of a row.
    """
    found = np.full((total.shape[0], most), NONE, np.int64)
    for row, (start, end) in enumerate(pairwise(total.indptr)):
        fallen, items = -total.data[start:end], total.indices[start:end]
        if len(items) > most:
            chosen = np.argpartition(fallen, most - 1)[:most]
            fallen, items = fallen[chosen], items[chosen]
        found[row, : len(items)] = items[np.lexsort((items, fallen))]
    return found


def _of_own(own: Own, shape: tuple[int, ...]) -> dict[str, Floats]:
    """What the session's own clicks say; own items have the first places, by rank."""

    def placed(values: npt.NDArray[Any]) -> Floats:
        table = np.zeros(shape)
        table[own.rows, own.ranks] = values
        return table

    return {
        "own": placed(np.ones(len(own.rows))),
        "own_last": placed(own.ranks == 0),
        "own_second": placed(own.ranks == 1),
        "own_third": placed(own.ranks == 2),
        "own_age": placed(1.0 / (1.0 + own.ages)),
        "own_first_age": placed(1.0 / (1.0 + own.first_ages)),
        "own_count": placed(np.log(own.counts)),
        "own_has_followed": placed(own.has_followed),
    }


def _of_items(memory: Memory, items: Places) -> dict[str, Floats]:
    places = np.maximum(items, 0)
    return {
        "clicks": np.log1p(memory.clicks)[places],
        "clicks_lately": np.log1p(memory.clicks_lately)[places],
        "returns": memory.returns[places],
    }


def _of_sessions(
    own: Own, memory: Memory, asked: Asked, shape: tuple[int, ...]
) -> dict[str, Floats]:
    """What holds for all candidates of a row."""
    last = own.items[own.ranks == 0]
    told = {
        "session_length": np.log1p(asked.positions),
        "session_items": own.per_row() / np.minimum(asked.positions, LONGEST),
        "last_is_return": (own.first_ages > own.ages)[own.ranks == 0],
        "last_clicks": np.log1p(memory.clicks)[last],
    }
    return {name: np.broadcast_to(each[:, None], shape) for name, each in told.items()}
