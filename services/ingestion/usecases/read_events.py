"""Reads messages of the bus as ingestion stores them, and stores nothing."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.ingestion.domain.accept import People, event_rows, order_ids, people_of
from services.ingestion.domain.findings import Findings
from services.ingestion.domain.mapping import Mapping
from services.ingestion.domain.orders import order_parts
from services.ingestion.domain.pseudonyms import Keys, Pseudonymiser
from services.ingestion.domain.rules import Rules
from services.ingestion.domain.stage import stage
from services.ingestion.domain.staged import MONEY_EVENTS
from services.ingestion.domain.validate import ValidatedEvents, validate
from services.ingestion.usecases.stream_batch import stream_batch
from shared.bus import Partition, Record
from shared.bus.decoded import DecodedEvents

_ORDERS_REMEMBERED = 200_000
_EDGES = pa.schema(
    [
        ("message_id", pa.string()),
        ("from_key", pa.uint64()),
        ("to_key", pa.uint64()),
        ("event_time", pa.timestamp("ms", "UTC")),
    ]
)


class EventReader:
    """An `EventDecoder` over ingestion's own validator.

    Args:
        mapping: How events are read; its source is the name of the door.
        pseudonyms: Keys of people.
        zone: Zone of times that name none.
        now_milliseconds: Wall clock.
        live_topics: Full names of topics whose events are known when they were sent; those of
            others when they happened.
    """

    def __init__(
        self,
        mapping: Mapping,
        pseudonyms: Pseudonymiser,
        zone: str,
        now_milliseconds: Callable[[], int],
        live_topics: Collection[str],
    ) -> None:
        self._mapping, self._pseudonyms, self._zone = mapping, pseudonyms, zone
        self._now, self._live = now_milliseconds, frozenset(live_topics)
        # Where each order was first sold, so that reading a stretch again says the same of it.
        self._sold: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def decode(self, partition: Partition, records: Sequence[Record]) -> DecodedEvents:
        """See `EventDecoder.decode`."""
        full = np.array(
            [place for place, record in enumerate(records) if record.value is not None], np.int64
        )
        now = self._now()
        is_live = partition.topic in self._live
        batch = stream_batch([(partition, records[place]) for place in full], now)
        arrivals = batch.arrivals.milliseconds if batch.arrivals else None
        findings = Findings(len(full))
        rules = Rules(self._mapping, self._zone, now, is_live, arrivals)
        checked = validate(stage(batch, self._mapping, findings), findings, rules)
        good = np.flatnonzero(findings.is_good)
        valid = checked.take(good)
        refused = Counter(fault.reason.name for fault in findings.faults())
        return self._decoded(partition, valid, full[good], refused, is_live=is_live)

    def _decoded(
        self,
        partition: Partition,
        valid: ValidatedEvents,
        places: np.ndarray[tuple[int], np.dtype[np.int64]],
        refused: Counter[str],
        *,
        is_live: bool,
    ) -> DecodedEvents:
        ids = self._pseudonyms.masked(valid.staged.message_id)
        people = people_of(valid.staged, self._pseudonyms)
        rows = event_rows(
            valid,
            people,
            message_ids=ids,
            order_parts=self._order_parts(partition, valid, ids),
            source=self._mapping.source,
            is_backfill=not is_live,
        )
        (batch,) = rows.combine_chunks().to_batches() or [_none(rows.schema)]
        return DecodedEvents(batch, _edges(batch, people), places, refused)

    def _order_parts(
        self, partition: Partition, valid: ValidatedEvents, ids: pa.Array
    ) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
        parts = np.zeros(len(valid), np.uint16)
        is_money = pc.is_in(valid.staged.event, pa.array(MONEY_EVENTS))
        is_named = pc.greater(pc.binary_length(valid.staged.order_id), 0)
        named = np.flatnonzero(
            pc.fill_null(pc.and_(is_money, is_named), False).to_numpy(zero_copy_only=False)
        )
        if not len(named):
            return parts
        orders = order_ids(valid.staged, ids).take(pa.array(named))
        gross = valid.money.gross[named]
        assert valid.staged.stream_offset is not None  # what came over the bus has one
        offsets = valid.staged.stream_offset.take(pa.array(named)).to_pylist()
        first = offsets[0]
        texts = orders.to_pylist()
        stream = str(partition)
        has_sale = np.array([self._is_sold(text, stream, first) for text in texts], np.bool_)
        for text, offset, amount in zip(texts, offsets, gross, strict=True):
            if amount > 0:
                self._sold.setdefault(text, (stream, offset))
        while len(self._sold) > _ORDERS_REMEMBERED:
            self._sold.popitem(last=False)
        parts[named] = order_parts(orders, gross, has_sale)
        return parts

    def _is_sold(self, order: str, stream: str, before: int) -> bool:
        sold = self._sold.get(order)
        return sold is not None and (sold[0] != stream or sold[1] < before)


def _edges(rows: pa.RecordBatch, people: People) -> pa.RecordBatch:
    users = people.users.keys
    pairs: list[Keys] = [people.visitors.keys]
    pairs += [
        each.keys for each in (people.former_users, people.former_visitors) if each is not None
    ]
    parts = []
    for from_keys in pairs:
        is_pair = (from_keys != 0) & (users != 0) & (from_keys != users)
        chosen = pa.array(np.flatnonzero(is_pair))
        parts.append(
            pa.record_batch(
                [
                    rows.column("message_id").take(chosen),
                    pa.array(from_keys[is_pair]),
                    pa.array(users[is_pair]),
                    rows.column("event_time").take(chosen),
                ],
                schema=_EDGES,
            )
        )
    (joined,) = pa.Table.from_batches(parts).combine_chunks().to_batches() or [_none(_EDGES)]
    return joined


def _none(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema)
