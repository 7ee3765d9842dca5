"""Takes events in: validated, told from those stored before, pseudonymised, stored."""

from concurrent.futures import Executor, Future
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.ingestion.domain.accept import (
    event_rows,
    identity_edges,
    order_ids,
    people_of,
    stated,
)
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


class EventIntake:
    """Takes events of one source in, batch by batch.

    Args:
        stores: Where to.
        rules: Under which circumstances.
        memory: What is stored.
        letters: Gets what is refused.
        pool: One thread that stores a batch while the next is checked; None stores at once.
    """

    def __init__(
        self,
        stores: Stores,
        rules: Rules,
        memory: Memory,
        letters: LetterBox,
        pool: Executor | None = None,
    ) -> None:
        self._stores, self._rules, self._memory, self._letters = stores, rules, memory, letters
        self._source = rules.mapping.source
        self._met = KeySet()
        self._pool = pool
        self._pending: Future[Tally] | None = None

    def take(self, batch: Batch) -> Tally:
        """See `Intake.take`."""
        findings = Findings(batch.table.num_rows)
        arrivals = batch.arrivals.milliseconds if batch.arrivals else None
        rules = replace(self._rules, arrivals=arrivals)
        valid = validate(stage(batch, rules.mapping, findings), findings, rules)
        refused = self._letters.keep(batch, findings.faults())
        good = valid.take(np.flatnonzero(findings.is_good))
        done = Tally(row_count=batch.row_count, rejected_row_count=len(refused)) + self.finish()
        if self._pool is None:
            done += self._store(good)
        else:
            self._pending = self._pool.submit(self._store, good)
        return replace(done, rejections=refused)

    def finish(self) -> Tally:
        """See `Intake.finish`."""
        pending, self._pending = self._pending, None
        return pending.result() if pending else Tally()

    def _store(self, valid: ValidatedEvents) -> Tally:
        if not len(valid):
            return Tally()
        accepted, anonymous = self._store_new(valid)
        return Tally(
            accepted_row_count=accepted,
            duplicate_row_count=len(valid) - accepted,
            anonymous_row_count=anonymous,
            event_count=accepted,
        )

    def _store_new(self, valid: ValidatedEvents) -> tuple[int, int]:
        ids = self._message_ids(valid.staged)
        keys = text_keys(ids)
        times = valid.event_time
        with self._stores.lock:
            known = self._memory.messages(ids, int(times.min()), int(times.max()))
            is_new = ~known.contains(keys) & (occurrences_within(keys) == 0)
            fresh = np.flatnonzero(is_new)
            if not len(fresh):
                return 0, 0
            fresh = fresh[np.argsort(times[fresh], kind="stable")]
            return self._write(valid.take(fresh), ids.take(pa.array(fresh)), keys[is_new])

    def _write(self, valid: ValidatedEvents, ids: pa.Array, keys: Words) -> tuple[int, int]:
        parts, sales = self._order_parts(valid, ids)
        people = people_of(valid.staged, self._stores.pseudonyms)
        rows = event_rows(
            valid,
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
        # Later parts must never be there without the first, by which orders are counted.
        for is_in in (parts == 0, parts != 0):
            if is_in.any():
                some = rows if is_in.all() else rows.filter(pa.array(is_in))
                warehouse.insert("events", stated(some))
        self._stores.learn(self._source, keys, sales, edges)
        return len(valid), int(np.count_nonzero(people.users.keys == 0))

    def _message_ids(self, staged: StagedEvents) -> pa.Array:
        """Return the ids of events in the order of the source, made where none is given."""
        given = self._stores.pseudonyms.masked(staged.message_id)
        is_nameless = pc.fill_null(pc.equal(pc.binary_length(given), 0), True)
        nameless = np.flatnonzero(is_nameless.to_numpy(zero_copy_only=False))
        if not len(nameless):
            return given
        digests = row_digests(self._source, staged.canonical(pa.array(nameless)))
        nth = self._met.counts(digests) + occurrences_within(digests)
        self._met.add(digests)
        return pc.replace_with_mask(given, is_nameless, hex_ids(nth_digests(digests, nth)))

    def _order_parts(
        self, valid: ValidatedEvents, ids: pa.Array
    ) -> tuple[npt.NDArray[np.uint16], Words]:
        parts = np.zeros(len(valid), dtype=np.uint16)
        is_money = pc.is_in(valid.staged.event, pa.array(MONEY_EVENTS))
        is_named = pc.greater(pc.binary_length(valid.staged.order_id), 0)
        named = np.flatnonzero(pc.and_(is_money, is_named).to_numpy(zero_copy_only=False))
        if not len(named):
            return parts, np.empty((0, 2), dtype=np.uint64)
        orders = order_ids(valid.staged, ids).take(pa.array(named))
        keys = sale_texts(self._source, orders)
        gross = valid.money.gross[named]
        has_sale = self._memory.sales(orders).contains(keys)
        parts[named] = order_parts(orders, gross, has_sale)
        return parts, keys[gross > 0]
