"""Lines of orders into events: one for each order, customer and instant."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from services.ingestion.domain.identity import Words, hex_ids
from services.ingestion.domain.jsontext import json_objects
from services.ingestion.domain.lines import Lines, property_columns, property_values
from services.ingestion.domain.mapping import Mapping, Role
from services.ingestion.domain.pseudonyms import Keys
from services.ingestion.domain.staged import ORDER_COMPLETED, ORDER_REFUNDED, no_consent
from services.ingestion.domain.table import EVENTS

Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_LINES_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Orders:
    """Events made of lines, by time; the lines lie in the order of their events."""

    lines: Lines
    """In the order of the events, within an event as the source has them."""
    line_ids: Words
    starts: Places
    """First line of each event; one more than events."""
    order_ids: pa.Array
    message_ids: pa.Array
    is_refund: Mask
    gross: Places
    net: Places

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def event_time(self) -> Places:
        """Instant of each event."""
        times: Places = self.lines.table.column("event_time").to_numpy()[self.starts[:-1]]
        return times


def group(lines: Lines, line_ids: Words, mapping: Mapping) -> Orders:
    """Group lines into events, the earliest event first.

    Args:
        lines: Good lines that are not stored yet.
        line_ids: Identity of each, equal lines told apart.
        mapping: Says what marks a refund; without an order column each line is an order.
    """
    table = lines.table
    time = table.column("event_time").to_numpy()
    row = table.column("row").to_numpy()
    has_orders = Role.ORDER in mapping.columns
    order = _ranks(table.column("order")) if has_orders else row
    user = _ranks(table.column("user"))
    sequence = np.lexsort((row, user, order, time))
    order, user, time = order[sequence], user[sequence], time[sequence]
    is_start = np.ones(len(sequence), dtype=np.bool_)
    is_start[1:] = (time[1:] != time[:-1]) | (order[1:] != order[:-1]) | (user[1:] != user[:-1])
    starts = np.append(np.flatnonzero(is_start), len(sequence)).astype(np.int64)
    del order, user, time, row, table, is_start
    lines, line_ids = lines.take(sequence), line_ids[sequence]
    del sequence
    heads = pa.array(starts[:-1])
    given = lines.table.column("order").take(heads)
    order_ids = _decoded(given) if has_orders else hex_ids(line_ids)
    prefix = mapping.refund_prefix
    is_refund = (
        pc.starts_with(order_ids, prefix).to_numpy(zero_copy_only=False)
        if prefix
        else np.zeros(len(starts) - 1, dtype=np.bool_)
    )
    gross, net = _totals(lines, starts, is_refund, Role.UNIT_PRICE in mapping.columns)
    if not has_orders:
        is_refund = net < 0
    return Orders(
        lines, line_ids, starts, order_ids, _message_ids(line_ids, starts), is_refund, gross, net
    )


def order_parts(order_ids: pa.Array, gross: Places, has_sale: Mask) -> npt.NDArray[np.uint16]:
    """Return 0 up to and with the first sale of each order, 1 after it.

    So rows with part 0 and a sale count orders, however a file is cut by time.

    Args:
        order_ids: Order of each event, the earliest event first.
        gross: What each event sold.
        has_sale: Whether a sale of the order is stored already.

    >>> ids = pa.array(["a", "a", "a", "b"])
    >>> order_parts(ids, np.array([0, 5, 5, 5]), np.array([False] * 3 + [True])).tolist()
    [0, 0, 1, 1]
    """
    codes = order_ids.dictionary_encode().indices.to_numpy()
    places = np.arange(len(codes))
    never = len(codes)
    first = np.full(never + 1, never, dtype=np.int64)
    sales = np.flatnonzero(gross > 0)
    np.minimum.at(first, codes[sales], sales)
    parts: npt.NDArray[np.uint16] = ((places > first[codes]) | has_sale).astype(np.uint16)
    return parts


def order_rows(
    orders: Orders, span: slice, keys: Keys, parts: npt.NDArray[np.uint16], mapping: Mapping
) -> pa.Table:
    """Return rows of `events` for a run of events.

    Args:
        orders: All events.
        span: Which of them; the step is 1.
        keys: Pseudonym of the customer of each line of `orders`.
        parts: Part of its order for each event.
        mapping: Says which columns hold for a whole order.
    """
    starts = orders.starts[span.start : span.stop + 1]
    first, last = int(starts[0]), int(starts[-1])
    length = span.stop - span.start
    table = orders.lines.table.slice(first, last - first)
    offsets = pa.array((starts - first).astype(np.int32))

    def lists(values: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(offsets, values)

    times = pa.array(orders.event_time[span]).cast(pa.timestamp("ms", "UTC"))
    event = pc.if_else(pa.array(orders.is_refund[span]), ORDER_REFUNDED, ORDER_COMPLETED)
    empty = pa.repeat(pa.scalar(""), length)
    columns = {
        "message_id": orders.message_ids.slice(span.start, length),
        "source": pa.repeat(pa.scalar(mapping.source), length),
        "type": pa.repeat(pa.scalar("track"), length),
        "event": event,
        "user_key": pa.array(keys[starts[:-1]]),
        "anonymous_key": pa.array(np.zeros(length, dtype=np.uint64)),
        "event_time": times,
        "ingest_time": times,
        "is_backfill": pa.repeat(pa.scalar(True), length),
        "order_id": orders.order_ids.slice(span.start, length),
        "order_part": pa.array(parts[span]),
        "gross_micros": pa.array(orders.gross[span]),
        "net_micros": pa.array(orders.net[span]),
        "product_ids": lists(_decoded(table.column("product"))),
        "quantities": lists(_decoded(table.column("quantity"))),
        "price_micros": lists(_decoded(table.column("price_micros"))),
        "line_ids": lists(hex_ids(orders.line_ids[first:last])),
        "campaign": empty,
        "channel": empty,
        "consent": no_consent(length),
        "properties": _properties(orders, first, last, offsets, mapping),
        "context": empty,
    }
    return pa.table([columns[name] for name in EVENTS.names], schema=EVENTS)


def _properties(
    orders: Orders, first: int, last: int, offsets: pa.Array, mapping: Mapping
) -> pa.Array:
    names = sorted(property_columns(orders.lines))
    values = []
    for name in names:
        texts = _decoded(property_values(orders.lines, name).slice(first, last - first))
        if name in mapping.order_properties:
            values.append(texts.take(offsets.slice(0, len(offsets) - 1)))
        else:
            whole = pa.ListArray.from_arrays(offsets, pc.fill_null(texts, "null"))
            joined = pc.binary_join(whole, ",")
            values.append(pc.binary_join_element_wise("[", joined, "]", ""))
    return json_objects(names, values, len(offsets) - 1)


def _totals(
    lines: Lines, starts: Places, is_refund: Mask, has_unit_price: bool
) -> tuple[Places, Places]:
    total = lines.table.column("total_micros").to_numpy()
    is_sale = total > 0
    if has_unit_price:
        is_sale = is_sale & (lines.table.column("quantity").to_numpy() > 0)
    if not len(total):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    net = np.add.reduceat(total, starts[:-1])
    gross = np.where(is_refund, 0, np.add.reduceat(np.where(is_sale, total, 0), starts[:-1]))
    return gross, net


def _message_ids(line_ids: Words, starts: Places) -> pa.Array:
    cuts = np.unique(np.searchsorted(starts, np.arange(0, starts[-1], _LINES_AT_ONCE)))
    spans = pairwise([*cuts.tolist(), len(starts) - 1])
    parts = [_some_message_ids(line_ids, starts[first : last + 1]) for first, last in spans]
    return pa.array([each for part in parts for each in part], pa.string())


def _some_message_ids(line_ids: Words, starts: Places) -> list[str]:
    some = np.ascontiguousarray(line_ids[starts[0] : starts[-1]], dtype="<u8")
    starts = starts - starts[0]
    event = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    big_endian = some.view(">u8")
    ordered = some[np.lexsort((big_endian[:, 1], big_endian[:, 0], event))]
    raw = memoryview(ordered.tobytes())
    return [xxhash.xxh3_128_hexdigest(raw[a:b]) for a, b in pairwise((starts * 16).tolist())]


def _ranks(column: pa.ChunkedArray) -> Places:
    """Return the place of each text among all of the column in order; null comes first."""
    coded = column.combine_chunks()
    coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
    by_code = np.empty(len(coded.dictionary) + 1, dtype=np.int64)
    by_code[pc.sort_indices(coded.dictionary).to_numpy()] = np.arange(len(coded.dictionary))
    by_code[-1] = -1
    ranks: Places = by_code[coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    return ranks


def _decoded(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    return whole.dictionary_decode() if pa.types.is_dictionary(whole.type) else whole
