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

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class People:
    """Whom rows name."""

    users: Keyed
    visitors: Keyed
    former_users: Keyed | None = None
    """Former ids named by alias, read as ids of users."""
    former_visitors: Keyed | None = None
    """The same read as ids of visitors."""


def people_of(staged: StagedEvents, places: Places, pseudonyms: Pseudonymiser) -> People:
    """Key the ids of some rows."""
    chosen = pa.array(places)
    users = pseudonyms.users(_named(staged.user_id, chosen))
    visitors = pseudonyms.visitors(_named(staged.anonymous_id, chosen))
    if staged.previous_id is None or staged.previous_id.null_count == len(staged):
        return People(users, visitors)
    is_alias = pc.equal(staged.type, "alias")
    former = pc.if_else(is_alias, staged.previous_id, pa.scalar(None, pa.string()))
    former = _named(former, chosen)
    return People(users, visitors, pseudonyms.users(former), pseudonyms.visitors(former))


def event_rows(
    valid: ValidatedEvents,
    places: Places,
    people: People,
    *,
    message_ids: pa.Array,
    order_parts: npt.NDArray[np.uint16],
    source: str,
    is_backfill: bool,
) -> pa.Table:
    """Return rows of `events` for some places of a validated batch, in their order."""
    staged, money, length = valid.staged, valid.money, len(places)
    chosen = pa.array(places)

    def lists(values: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(staged.products.offsets, values).take(chosen)

    def instants(values: Instants) -> pa.Array:
        return pa.array(values[places]).cast(pa.timestamp("ms", "UTC"))

    no_lines = pa.array(np.zeros(length + 1, dtype=np.int32))
    product_ids = redacted(pc.fill_null(staged.products.ids.cast(pa.string()), ""))
    event = redacted(staged.event.take(chosen))
    order_id = order_ids(staged, chosen, message_ids)
    columns = {
        "message_id": message_ids,
        "source": pa.repeat(pa.scalar(source), length),
        "type": staged.type.take(chosen),
        "event": event,
        "user_key": pa.array(people.users.keys),
        "anonymous_key": pa.array(people.visitors.keys),
        "event_time": instants(valid.event_time),
        "ingest_time": instants(valid.ingest_time),
        "is_backfill": pa.repeat(pa.scalar(is_backfill), length),
        "order_id": order_id,
        "order_part": pa.array(order_parts),
        "gross_micros": pa.array(money.gross[places]),
        "net_micros": pa.array(money.net[places]),
        "product_ids": lists(product_ids),
        "quantities": lists(pa.array(money.quantities)),
        "price_micros": lists(pa.array(money.price_micros)),
        "line_ids": pa.ListArray.from_arrays(no_lines, pa.array([], pa.string())),
        "campaign": redacted(staged.campaign.take(chosen)),
        "channel": redacted(staged.channel.take(chosen)),
        "consent": staged.consent.take(chosen),
        "properties": staged.properties.take(chosen),
        "context": staged.context.take(chosen),
    }
    return pa.table([columns[name] for name in EVENTS.names], schema=EVENTS)


def order_ids(staged: StagedEvents, chosen: pa.Array, message_ids: pa.Array) -> pa.Array:
    """Return the order of each row; a sale or refund that names none is an order of its own."""
    given = redacted(staged.order_id.take(chosen))
    is_money = pc.is_in(staged.event.take(chosen), pa.array(MONEY_EVENTS))
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


def _named(ids: pa.Array, chosen: pa.Array) -> pa.Array:
    taken = ids.take(chosen)
    return pc.if_else(pc.equal(taken, ""), pa.scalar(None, pa.string()), taken)
