"""Good events as rows of the warehouse, with whom they name and what that says of identity."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.ingestion.domain.privacy import redacted
from services.ingestion.domain.pseudonyms import Keyed, Keys, Pseudonymiser
from services.ingestion.domain.rules import Instants
from services.ingestion.domain.staged import MONEY_EVENTS, StagedEvents
from services.ingestion.domain.table import EVENTS, IDENTITY
from services.ingestion.domain.validate import ValidatedEvents


@dataclass(frozen=True)
class People:
    """Whom rows name."""

    users: Keyed
    visitors: Keyed
    former_users: Keyed | None = None
    """Former ids named by alias, read as ids of users."""
    former_visitors: Keyed | None = None
    """The same read as ids of visitors."""


def people_of(staged: StagedEvents, pseudonyms: Pseudonymiser) -> People:
    """Key the ids that rows name."""
    users = pseudonyms.users(_named(staged.user_id))
    visitors = pseudonyms.visitors(_named(staged.anonymous_id))
    if staged.previous_id is None or staged.previous_id.null_count == len(staged):
        return People(users, visitors)
    is_alias = pc.equal(staged.type, "alias")
    former = _named(pc.if_else(is_alias, staged.previous_id, pa.scalar(None, pa.string())))
    return People(users, visitors, pseudonyms.users(former), pseudonyms.visitors(former))


def event_rows(
    valid: ValidatedEvents,
    people: People,
    *,
    message_ids: pa.Array,
    order_parts: npt.NDArray[np.uint16],
    source: str,
    is_backfill: bool,
) -> pa.Table:
    """Return validated events as rows of `events`."""
    staged, money, length = valid.staged, valid.money, len(valid)
    lists = staged.products.lists
    no_lines = pa.array(np.zeros(length + 1, dtype=np.int32))
    columns = {
        "message_id": message_ids,
        "source": pa.repeat(pa.scalar(source), length),
        "type": staged.type,
        "event": redacted(staged.event),
        "user_key": pa.array(people.users.keys),
        "anonymous_key": pa.array(people.visitors.keys),
        "event_time": _instants(valid.event_time),
        "ingest_time": _instants(valid.ingest_time),
        "is_backfill": pa.repeat(pa.scalar(is_backfill), length),
        "order_id": order_ids(staged, message_ids),
        "order_part": pa.array(order_parts),
        "gross_micros": pa.array(money.gross),
        "net_micros": pa.array(money.net),
        "product_ids": lists(redacted(pc.fill_null(staged.products.ids, ""))),
        "quantities": lists(pa.array(money.quantities)),
        "price_micros": lists(pa.array(money.price_micros)),
        "line_ids": pa.ListArray.from_arrays(no_lines, pa.array([], pa.string())),
        "campaign": redacted(staged.campaign),
        "channel": redacted(staged.channel),
        "consent": staged.consent,
        "properties": staged.properties,
        "context": staged.context,
    }
    rows = pa.table([columns[name] for name in EVENTS.names], schema=EVENTS)
    if staged.stream is None:
        return rows
    rows = rows.append_column("stream", staged.stream)
    return rows.append_column("stream_offset", staged.stream_offset)


def stated(rows: pa.Table) -> pa.Table:
    """Return rows without the columns that say nothing: the table has the same defaults."""
    return rows.select([name for name in rows.column_names if not _is_default(rows.column(name))])


def order_ids(staged: StagedEvents, message_ids: pa.Array) -> pa.Array:
    """Return the order of each row; a sale or refund that names none is an order of its own."""
    given = redacted(staged.order_id)
    is_money = pc.is_in(staged.event, pa.array(MONEY_EVENTS))
    return pc.if_else(pc.and_(is_money, pc.equal(given, "")), message_ids, given)


def identity_edges(events: pa.Table, people: People) -> pa.Table:
    """Return which keys are one person: each pair once, at its first event.

    Args:
        events: Rows of `events`.
        people: Whom these rows name.
    """
    to_keys = people.users.keys
    sources = [(people.visitors.keys, None), (_former(people.former_users), "alias")]
    sources.append((_former(people.former_visitors), "alias"))
    parts = [
        _edges(events, from_keys, to_keys, kind)
        for from_keys, kind in sources
        if from_keys is not None
    ]
    return first_edges(pa.concat_tables(parts))


def first_edges(edges: pa.Table) -> pa.Table:
    """Return the earliest edge of each pair."""
    if edges.num_rows == 0:
        return edges
    order = [("event_time", "ascending"), ("message_id", "ascending")]
    ordered = edges.sort_by(order)
    pairs = np.stack([ordered[c].to_numpy() for c in ("from_key", "to_key")], axis=1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    return ordered.take(pa.array(np.sort(first)))


def _edges(events: pa.Table, from_keys: Keys, to_keys: Keys, kind: str | None) -> pa.Table:
    is_pair = (from_keys != 0) & (to_keys != 0) & (from_keys != to_keys)
    chosen = pa.array(np.flatnonzero(is_pair))
    types = events["type"].take(chosen)
    kinds = pc.if_else(pc.equal(types, "identify"), "identify", "seen")
    columns = {
        "message_id": events["message_id"].take(chosen),
        "from_key": pa.array(from_keys[is_pair]),
        "to_key": pa.array(to_keys[is_pair]),
        "kind": kinds if kind is None else pa.repeat(pa.scalar(kind), len(chosen)),
        "event_time": events["event_time"].take(chosen),
        "ingest_time": events["ingest_time"].take(chosen),
    }
    return pa.table(columns, schema=IDENTITY)


def _former(keyed: Keyed | None) -> Keys | None:
    return keyed.keys if keyed is not None else None


def _named(ids: pa.Array) -> pa.Array:
    is_empty = pc.equal(pc.binary_length(ids), 0)
    if not pc.any(is_empty).as_py():
        return ids
    return pc.if_else(is_empty, pa.scalar(None, pa.string()), ids)


def _instants(values: Instants) -> pa.Array:
    return pa.array(values).cast(pa.timestamp("ms", "UTC"))


def _is_default(column: pa.ChunkedArray) -> bool:
    kind = column.type
    if pa.types.is_string(kind):
        return not any(len(chunk) and _text_bytes(chunk) for chunk in column.chunks)
    if pa.types.is_list(kind) or pa.types.is_map(kind):
        return not any(
            chunk.offsets[-1].as_py() - chunk.offsets[0].as_py() for chunk in column.chunks
        )
    if pa.types.is_integer(kind):
        return not any(chunk.to_numpy().any() for chunk in column.chunks)
    return False


def _text_bytes(texts: pa.Array) -> int:
    return pc.max(pc.binary_length(texts)).as_py() or 0
