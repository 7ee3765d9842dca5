"""Takes events in: validated, told from those stored before, pseudonymised, stored."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.ingestion.domain.accept import event_rows, identity_edges, order_ids, people_of
from services.ingestion.domain.batch import Batch
from services.ingestion.domain.edges import unknown_edges
from services.ingestion.domain.findings import Findings
from services.ingestion.domain.identity import (
    Words,
    hex_ids,
    nth_digests,
    occurrences_within,
    row_digests,
    text_keys,
)
from services.ingestion.domain.keyset import KeySet
from services.ingestion.domain.orders import order_parts
from services.ingestion.domain.rules import Rules
from services.ingestion.domain.stage import stage
from services.ingestion.domain.staged import MONEY_EVENTS, StagedEvents
from services.ingestion.domain.validate import ValidatedEvents, validate
from services.ingestion.usecases.letters import LetterBox
from services.ingestion.usecases.memory import Memory, Stores, sale_texts
from services.ingestion.usecases.ports import Tally

Places = npt.NDArray[np.int64]


class EventIntake:
    """Takes events of one source in, batch by batch.

    Args:
        stores: Where to.
        rules: Under which circumstances.
        memory: What is stored.
        letters: Gets what is refused.
    """

    def __init__(self, stores: Stores, rules: Rules, memory: Memory, letters: LetterBox) -> None:
        self._stores, self._rules, self._memory, self._letters = stores, rules, memory, letters
        self._source = rules.mapping.source
        self._met = KeySet()

    def take(self, batch: Batch) -> Tally:
        """See `Intake.take`."""
        findings = Findings(batch.table.num_rows)
        valid = validate(stage(batch, self._rules.mapping, findings), findings, self._rules)
        refused = self._letters.keep(batch, findings.faults())
        places = np.flatnonzero(findings.is_good)
        places = places[np.argsort(valid.event_time[places], kind="stable")]
        accepted, anonymous = self._store(valid, places) if len(places) else (0, 0)
        return Tally(
            row_count=batch.row_count,
            accepted_row_count=accepted,
            duplicate_row_count=len(places) - accepted,
            rejected_row_count=len(refused),
            anonymous_row_count=anonymous,
            event_count=accepted,
            rejections=refused,
        )

    def finish(self) -> Tally:
        """See `Intake.finish`."""
        return Tally()

    def _store(self, valid: ValidatedEvents, places: Places) -> tuple[int, int]:
        ids = self._message_ids(valid.staged, places)
        keys = text_keys(ids)
        times = valid.event_time[places]
        with self._stores.lock:
            known = self._memory.messages(ids, int(times.min()), int(times.max()))
            is_new = ~known.contains(keys) & (occurrences_within(keys) == 0)
            if not is_new.any():
                return 0, 0
            if not is_new.all():
                ids = ids.filter(pa.array(is_new))
                places, keys = places[is_new], keys[is_new]
            return self._write(valid, places, ids, keys)

    def _write(
        self, valid: ValidatedEvents, places: Places, ids: pa.Array, keys: Words
    ) -> tuple[int, int]:
        parts, sales = self._order_parts(valid, places, ids)
        people = people_of(valid.staged, places, self._stores.pseudonyms)
        rows = event_rows(
            valid,
            places,
            people,
            message_ids=ids,
            order_parts=parts,
            source=self._source,
            is_backfill=not self._rules.is_live,
        )
        edges = identity_edges(rows, people)
        if edges.num_rows:
            edges = unknown_edges(edges, self._memory.edges(edges.column("from_key")))
        # Whom a key stands for and who is whom come first: a crash in between leaves events to
        # be sent again, never events whose people are unknown.
        self._stores.vault.remember(people.users.distinct_keys.tolist(), people.users.distinct_ids)
        warehouse = self._stores.warehouse
        if edges.num_rows:
            warehouse.insert("identity", edges)
        is_first = parts == 0
        warehouse.insert("events", rows if is_first.all() else rows.filter(pa.array(is_first)))
        if not is_first.all():
            # Later parts must never be there without the first, by which orders are counted.
            warehouse.insert("events", rows.filter(pa.array(~is_first)))
        self._stores.learn(self._source, keys, sales, edges)
        return len(places), int(np.count_nonzero(people.users.keys == 0))

    def _message_ids(self, staged: StagedEvents, places: Places) -> pa.Array:
        ids = staged.message_id.take(pa.array(places))
        ids = self._stores.pseudonyms.masked(pc.if_else(pc.equal(ids, ""), None, ids))
        if not ids.null_count:
            return ids
        # Equal rows are counted in the order of the source, whatever their times.
        nameless = np.sort(places[ids.is_null().to_numpy(zero_copy_only=False)])
        digests = row_digests(self._source, staged.canonical(pa.array(nameless)))
        nth = self._met.counts(digests) + occurrences_within(digests)
        self._met.add(digests)
        made = hex_ids(nth_digests(digests, nth))
        where = np.searchsorted(nameless, places)
        return pc.coalesce(ids, made.take(pa.array(np.minimum(where, len(nameless) - 1))))

    def _order_parts(
        self, valid: ValidatedEvents, places: Places, ids: pa.Array
    ) -> tuple[npt.NDArray[np.uint16], Words]:
        parts = np.zeros(len(places), dtype=np.uint16)
        chosen = pa.array(places)
        is_money = pc.is_in(valid.staged.event.take(chosen), pa.array(MONEY_EVENTS))
        is_named = pc.not_equal(valid.staged.order_id.take(chosen), "")
        named = np.flatnonzero(pc.and_(is_money, is_named).to_numpy(zero_copy_only=False))
        if not len(named):
            return parts, np.empty((0, 2), dtype=np.uint64)
        orders = order_ids(valid.staged, chosen, ids).take(pa.array(named))
        keys = sale_texts(self._source, orders)
        gross = valid.money.gross[places[named]]
        has_sale = self._memory.sales(orders).contains(keys)
        parts[named] = order_parts(orders, gross, has_sale)
        return parts, keys[gross > 0]
