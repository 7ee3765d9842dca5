"""What the compiled statement reads of events, in ClickHouse's words."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.features.algebra import EVENT_NAMES, ORDER_COMPLETED, Events, Property


def _named(names: tuple[str, ...]) -> str:
    return f"event IN ({', '.join(repr(name) for name in names)})"


_BOUGHT = f"event = '{ORDER_COMPLETED}' AND gross_micros > 0"

CONDITIONS: Mapping[Events, str] = {
    Events.ANY: "1",
    Events.ORDERS: f"{_BOUGHT} AND order_part = 0",
    Events.PURCHASES: _BOUGHT,
    **{
        events: _named(EVENT_NAMES[events])
        for events in (Events.REFUNDS, Events.REVENUE, Events.VIEWS, Events.CARTS)
    },
}
"""When an event matches."""

VALUES: Mapping[Property, str] = {
    Property.TIME: "ms",
    Property.GROSS: "gross_micros",
    Property.NET: "net_micros",
    Property.REFUNDED: "gross_micros - net_micros",
    Property.ITEMS: "toInt64(round(1e6 * arraySum(x -> greatest(x, 0), quantities)))",
    Property.PRODUCT: "arrayMap(x -> cityHash64(x), product_ids)",
}
"""What is read of an event; money and items as whole micros: sums are exact in any order."""

EMPTY: Mapping[Property, str] = {Property.PRODUCT: "emptyArrayUInt64()"}
"""What stands for an event of the family that does not match, where it is not 0."""

MICROS = (Property.GROSS, Property.NET, Property.REFUNDED, Property.ITEMS)


@dataclass(frozen=True)
class Family:
    """Events that share one sorted array for each user."""

    name: str
    members: tuple[Events, ...]
    condition: str


FAMILIES = (
    Family(
        "sales",
        (Events.ORDERS, Events.PURCHASES, Events.REFUNDS, Events.REVENUE),
        CONDITIONS[Events.REVENUE],
    ),
    Family("views", (Events.VIEWS,), CONDITIONS[Events.VIEWS]),
    Family("carts", (Events.CARTS,), CONDITIONS[Events.CARTS]),
    Family("any", (Events.ANY,), CONDITIONS[Events.ANY]),
)


def family_of(events: Events) -> Family:
    """Return the family whose array holds the matching events."""
    return next(family for family in FAMILIES if events in family.members)
