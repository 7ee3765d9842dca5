"""Takes lines of orders in; an order is known only when the whole source is."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.ingestion.domain.batch import Batch
from services.ingestion.domain.findings import Findings
from services.ingestion.domain.identity import nth_digests, occurrences_within
from services.ingestion.domain.keyset import KeySet
from services.ingestion.domain.lines import Lines, join_lines, read_lines
from services.ingestion.domain.orders import Orders, group, order_parts, order_rows
from services.ingestion.domain.rules import Rules
from services.ingestion.domain.sizes import reject_large_fields
from services.ingestion.usecases import stored
from services.ingestion.usecases.letters import LetterBox
from services.ingestion.usecases.memory import Memory, Stores, sale_texts
from services.ingestion.usecases.ports import Tally

_LINES_AN_INSERT = 500_000


class OrderIntake:
    """Takes order lines of one source in.

    All lines are kept in memory in a compact form until the end (about 250 bytes each): lines of
    one order may lie anywhere in the source, and equal lines are counted over all of it.

    Args:
        stores: Where to.
        rules: Under which circumstances.
        memory: What is stored.
        letters: Gets what is refused.
    """

    def __init__(self, stores: Stores, rules: Rules, memory: Memory, letters: LetterBox) -> None:
        self._stores, self._rules, self._memory, self._letters = stores, rules, memory, letters
        self._parts: list[Lines] = []

    def take(self, batch: Batch) -> Tally:
        """See `Intake.take`."""
        findings = Findings(batch.table.num_rows)
        reject_large_fields(batch.table, findings, self._rules.mapping.limits.field_bytes)
        lines = read_lines(batch.table, batch.rows, findings, self._rules)
        refused = self._letters.keep(batch, findings.faults())
        if len(lines):
            self._parts.append(lines)
        return Tally(row_count=batch.row_count, rejected_row_count=len(refused), rejections=refused)

    def finish(self) -> Tally:
        """See `Intake.finish`."""
        if not self._parts:
            return Tally()
        lines = join_lines(self._parts)
        self._parts = []
        line_ids = nth_digests(lines.digests, occurrences_within(lines.digests))
        times = lines.table.column("event_time").to_numpy()
        mapping = self._rules.mapping
        with self._stores.lock:
            span = (int(times.min()), int(times.max()))
            known = KeySet(stored.line_keys(self._stores.warehouse, mapping.source, *span))
            fresh = np.flatnonzero(~known.contains(line_ids))
            duplicate_count = len(lines) - len(fresh)
            if not len(fresh):
                return Tally(duplicate_row_count=duplicate_count)
            if duplicate_count:
                lines, line_ids = lines.take(fresh), line_ids[fresh]
            orders = group(lines, line_ids, mapping)
            del lines, line_ids
            anonymous_count = self._write(orders)
        return Tally(
            accepted_row_count=len(fresh),
            duplicate_row_count=duplicate_count,
            anonymous_row_count=anonymous_count,
            event_count=len(orders),
        )

    def _write(self, orders: Orders) -> int:
        stores, mapping = self._stores, self._rules.mapping
        column = orders.lines.table.column("user").combine_chunks()
        users = stores.pseudonyms.users(column)
        sales = sale_texts(mapping.source, orders.order_ids)
        has_sale = self._memory.sales(orders.order_ids).contains(sales)
        parts = order_parts(orders.order_ids, orders.gross, has_sale)
        stores.vault.remember(users.distinct_keys.tolist(), users.distinct_ids)
        # By time and month by month: whatever a crash leaves, an order's first part is in it.
        for span in _spans(orders):
            rows = order_rows(orders, span, users.keys, parts, mapping)
            stores.warehouse.insert("events", rows)
        stores.learn(mapping.source, sales[:0], sales[orders.gross > 0], pa.table({"from_key": []}))
        return int(np.count_nonzero(users.keys == 0))


def _spans(orders: Orders) -> Iterator[slice]:
    months = orders.event_time.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    blocks = orders.starts[:-1] // _LINES_AN_INSERT
    is_new = (np.diff(months) != 0) | (np.diff(blocks) != 0)
    cuts: npt.NDArray[np.int64] = np.flatnonzero(is_new) + 1
    bounds = [0, *cuts.tolist(), len(orders)]
    for first, last in pairwise(bounds):
        yield slice(first, last)
