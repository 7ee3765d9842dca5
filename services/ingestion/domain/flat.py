"""Tables with one event a row into staged columns."""

from collections.abc import Mapping as MappingOf

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.ingestion.domain.columns import Bound
from services.ingestion.domain.jsontext import json_objects, json_values
from services.ingestion.domain.mapping import Mapping, Role
from services.ingestion.domain.privacy import is_personal, redacted
from services.ingestion.domain.pseudonyms import id_text
from services.ingestion.domain.staged import (
    MONEY_EVENTS,
    Products,
    StagedEvents,
    no_consent,
    no_products,
    repeated,
)


def stage_flat(table: pa.Table, mapping: Mapping) -> StagedEvents:
    """Pick the columns that a mapping names; all others become properties."""
    bound = Bound(table, mapping)
    length = table.num_rows
    event = renamed(pc.fill_null(bound.text(Role.EVENT), ""), mapping.events)
    kind = pc.utf8_lower(bound.text(Role.TYPE))
    amount = bound.column(Role.REVENUE)
    return StagedEvents(
        type=pc.fill_null(kind, "track"),
        event=event,
        message_id=bound.text(Role.MESSAGE_ID),
        user_id=id_text(bound.column(Role.USER)),
        anonymous_id=id_text(bound.column(Role.ANONYMOUS)),
        timestamp=bound.column(Role.TIME),
        amount=amount,
        order_id=pc.fill_null(id_text(bound.column(Role.ORDER)), ""),
        campaign=pc.fill_null(bound.text(Role.CAMPAIGN), ""),
        channel=pc.fill_null(bound.text(Role.CHANNEL), ""),
        consent=no_consent(length),
        properties=_properties(bound, event, amount),
        context=repeated("", length),
        canonical=bound.canonical,
        products=_products(bound, length),
        fields=bound.fields(
            {
                Role.MESSAGE_ID: "message_id",
                Role.TYPE: "type",
                Role.EVENT: "event",
                Role.USER: "user_id",
                Role.ANONYMOUS: "anonymous_id",
                Role.TIME: "timestamp",
                Role.REVENUE: "amount",
                Role.ORDER: "order_id",
                Role.UNIT_PRICE: "prices",
                Role.QUANTITY: "quantities",
            }
        ),
    )


def renamed(names: pa.Array, renames: MappingOf[str, str]) -> pa.Array:
    """Return names with those of the source replaced.

    >>> renamed(pa.array(["buy", "view"]), {"buy": "Order Completed"}).to_pylist()
    ['Order Completed', 'view']
    """
    if not renames:
        return names
    coded = names.dictionary_encode()
    distinct = [renames.get(name, name) for name in coded.dictionary.to_pylist()]
    return pa.array(distinct, pa.string()).take(coded.indices)


def _products(bound: Bound, length: int) -> Products:
    if not bound.has(Role.PRODUCT):
        return no_products(length)
    ids = id_text(bound.column(Role.PRODUCT))
    is_given = ids.is_valid()
    offsets = np.zeros(length + 1, dtype=np.int32)
    np.cumsum(is_given.to_numpy(zero_copy_only=False), out=offsets[1:])
    return Products(
        pa.array(offsets),
        ids.filter(is_given),
        bound.column(Role.UNIT_PRICE).filter(is_given),
        bound.column(Role.QUANTITY).filter(is_given),
    )


def _properties(bound: Bound, event: pa.Array, amount: pa.Array) -> pa.Array:
    has_product = bound.has(Role.PRODUCT)
    names = [
        name
        for name in bound.others()
        if not is_personal(name) and (name.lower() != "name" or has_product)
    ]
    values = [json_values(bound.raw(name)) for name in names]
    if bound.has(Role.REVENUE):
        is_money = pc.is_in(event, pa.array(MONEY_EVENTS))
        if not pc.all(is_money).as_py():
            names.append("revenue")
            values.append(pc.if_else(is_money, pa.scalar(None, pa.string()), json_values(amount)))
    return redacted(json_objects(names, values, len(event)))
