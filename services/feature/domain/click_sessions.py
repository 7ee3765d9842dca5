"""Sessions of clicks in the order of time, cut into what is known and what is asked about."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.feature.domain.rules import Rule
from services.feature.domain.table_errors import unreadable
from shared.config.clicks import ClickPrediction
from shared.dataset.clicks import ClickBlock

FIRST_ASKED = 2
"""A click is asked about when so many came before it in its session."""

PARTS = 10
ASKED_PARTS = 3
"""Sessions are cut into ten parts; clicks of the last three are asked about, each of them by what
the parts before it tell. The last is judged on, the two before it are fitted to."""

LEAST_SESSIONS = 200
LEAST_ASKED = 50

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sessions:
    """Clicks by session.

    Attributes:
        items: int32 [click], places in the list of items.
        starts: int64 [session + 1], where each session begins among the clicks.
        item_ids: Names of the items.
        session_ids: Names of the sessions.
        test_count: How many of the last sessions are judged on only.
    """

    items: npt.NDArray[np.int32]
    starts: Places
    item_ids: tuple[str, ...]
    session_ids: tuple[str, ...]
    test_count: int = 0

    def __len__(self) -> int:
        return len(self.session_ids)

    @property
    def lengths(self) -> Places:
        """Clicks of each session."""
        return np.diff(self.starts)

    def owners(self, end: int) -> Places:
        """Return the session of each click of the first sessions."""
        return np.repeat(np.arange(end), self.lengths[:end])

    def first_sessions(self) -> Places:
        """Return the session in which each item was first clicked on."""
        first = np.full(len(self.item_ids), len(self), np.int64)
        np.minimum.at(first, self.items, self.owners(len(self)))
        return first


def sessions_of(table: pa.Table, question: ClickPrediction, judged: int = 0) -> Sessions:
    """Read the rows of a table as clicks; sessions keep the order of their first rows.

    Args:
        table: A row for each click.
        question: Names the columns.
        judged: How many of the last rows are of sessions that are judged on only.

    Raises:
        InvalidArgumentError: A column is missing, a cell is empty, or two clicks of a session have
            the same position; the message names column and row.
    """
    for column in (question.session, question.position, question.item):
        _require(table, column)
    fitted = table.num_rows - judged
    old, old_ids = _coded(table[question.session][:fitted])
    new, new_ids = _coded(table[question.session][fitted:])
    codes = np.concatenate([old, new + len(old_ids)])
    positions = _positions(table, question.position)
    items, item_ids = _coded(table[question.item])
    order = np.lexsort((positions, codes))
    codes, positions = codes[order], positions[order]
    same = np.flatnonzero((np.diff(codes) == 0) & (np.diff(positions) == 0))
    if len(same):
        raise unreadable(
            "",
            question.position,
            "stands twice in its session; give each click of a session a position of its own",
            int(order[same[0] + 1]) + 1,
        )
    ids = (*old_ids, *new_ids)
    counts = np.bincount(codes, minlength=len(ids))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Sessions(items[order].astype(np.int32), starts, item_ids, ids, len(new_ids))


def blocks_of(sessions: Sessions) -> tuple[tuple[ClickBlock, ...], ClickBlock | None]:
    """Return the sessions that are asked about, and those of test files if there are any."""
    asked = np.maximum(sessions.lengths - FIRST_ASKED, 0)
    known = len(sessions) - sessions.test_count
    cuts = [known * part // PARTS for part in range(PARTS - ASKED_PARTS, PARTS + 1)]

    def block(first: int, end: int) -> ClickBlock:
        return ClickBlock(first, end, int(asked[first:end].sum()))

    blocks = tuple(block(*cut) for cut in pairwise(cuts))
    return blocks, block(known, len(sessions)) if sessions.test_count else None


def click_rules(sessions: Sessions) -> tuple[Rule, ...]:
    """Measure sessions against the least data needed."""
    blocks, _ = blocks_of(sessions)
    fewest = min(block.row_count for block in blocks)
    return (
        Rule("sessions", len(sessions) - sessions.test_count, LEAST_SESSIONS),
        Rule("third_or_later_clicks_of_each_asked_tenth", fewest, LEAST_ASKED),
    )


def _require(table: pa.Table, column: str) -> None:
    if column not in table.column_names:
        raise unreadable(
            "", column, f"no such column; there are {', '.join(table.column_names) or 'none'}"
        )
    if table[column].null_count:
        empty = pc.index(pc.is_null(table[column]), value=True).as_py()
        raise unreadable("", column, "is empty", empty + 1)


def _coded(column: pa.ChunkedArray) -> tuple[Places, tuple[str, ...]]:
    """Numbers of the values in the order in which they first come, and the values as text."""
    values = pa.array([], column.type) if not len(column) else column.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    found = values.dictionary_encode()
    names = tuple(str(each) for each in found.dictionary.to_pylist())
    return found.indices.to_numpy().astype(np.int64), names


def _positions(table: pa.Table, column: str) -> npt.NDArray[np.float64] | Places:
    kind = table[column].type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return np.asarray(table[column].to_numpy())
    if pa.types.is_temporal(kind):
        return np.asarray(table[column].to_numpy().astype(np.int64))
    raise unreadable("", column, f"holds {kind}; a position is a number or a time")
