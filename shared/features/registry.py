"""Every declared feature, by group; to declare one here is all it takes for it to be tested."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from shared.features.algebra import (
    EVENT_NAMES,
    Aggregate,
    Balance,
    Events,
    Expression,
    Feature,
    Function,
    Property,
    Ratio,
    RecentOrder,
    Statistic,
    Window,
)

SEMANTICS_VERSION = 1
"""Raised when a function of the algebra changes its meaning, so that old values are not mixed."""

GROUPS: Mapping[str, str] = {
    "rfm": "how recently, how often, how much, and for how long",
    "windows": "orders, spend and browsing in the last 7 to 365 days",
    "trends": "whether it grows or fades, and how regular it is",
    "sequence": "the last eight orders one by one, which sequence models read",
}

_ORDERS = Aggregate(Function.COUNT, Events.ORDERS)
_GROSS = Aggregate(Function.SUM, Events.PURCHASES, Property.GROSS)
_RECENCY = Aggregate(Function.LAST, Events.ORDERS, Property.TIME)
_TENURE = Aggregate(Function.FIRST, Events.ORDERS, Property.TIME)


def _gaps(statistic: Statistic) -> Aggregate:
    return Aggregate(Function.GAPS, Events.ORDERS, Property.DAY, statistic=statistic)


def _orders(start: int, end: int = 0) -> Aggregate:
    return Aggregate(Function.COUNT, Events.ORDERS, window=Window(start, end))


def _gross(start: int, end: int = 0) -> Aggregate:
    return Aggregate(Function.SUM, Events.PURCHASES, Property.GROSS, Window(start, end))


def _count(events: Events, start: int, end: int = 0) -> Aggregate:
    return Aggregate(Function.COUNT, events, window=Window(start, end))


_Declaration = tuple[str, Expression, str, str, str]

_RFM: tuple[_Declaration, ...] = (
    ("orders_ever", _ORDERS, "orders so far", "orders", "has ordered {value} times"),
    (
        "recency_days",
        _RECENCY,
        "days since the last order",
        "days",
        "last ordered {value} days ago",
    ),
    (
        "tenure_days",
        _TENURE,
        "days since the first order",
        "days",
        "first ordered {value} days ago",
    ),
    (
        "known_days",
        Aggregate(Function.FIRST, Events.ANY, Property.TIME),
        "days since first seen",
        "days",
        "first seen {value} days ago",
    ),
    ("gross_ever", _GROSS, "spent so far", "currency", "has spent {value} in all"),
    (
        "net_ever",
        Aggregate(Function.SUM, Events.REVENUE, Property.NET),
        "spent so far after refunds",
        "currency",
        "has spent {value} in all after refunds",
    ),
    (
        "basket_mean",
        Ratio(_GROSS, _ORDERS),
        "mean value of an order",
        "currency",
        "spends {value} an order",
    ),
    (
        "basket_max",
        Aggregate(Function.MAX, Events.ORDERS, Property.GROSS),
        "largest order",
        "currency",
        "largest order was {value}",
    ),
    (
        "order_days_ever",
        Aggregate(Function.DISTINCT, Events.ORDERS, Property.DAY),
        "days with an order",
        "days",
        "has ordered on {value} different days",
    ),
    (
        "products_ever",
        Aggregate(Function.DISTINCT, Events.ORDERS, Property.PRODUCT),
        "different products bought",
        "products",
        "has bought {value} different products",
    ),
    (
        "items_per_order",
        Aggregate(Function.MEAN, Events.ORDERS, Property.ITEMS),
        "items in a mean order",
        "items",
        "buys {value} items an order",
    ),
    (
        "refunds_ever",
        Aggregate(Function.COUNT, Events.REFUNDS),
        "refunds so far",
        "refunds",
        "has had {value} refunds",
    ),
    (
        "refund_share",
        Ratio(Aggregate(Function.SUM, Events.REVENUE, Property.REFUNDED), _GROSS),
        "share of spend refunded",
        "share",
        "{value} of the spend was refunded",
    ),
)

_ORDER_WINDOWS = (7, 30, 90, 180, 365)
_VISIT_WINDOWS = (7, 30, 90)

_TRENDS: tuple[_Declaration, ...] = (
    (
        "gap_mean_days",
        _gaps(Statistic.MEAN),
        "mean days between orders",
        "days",
        "usually orders every {value} days",
    ),
    (
        "gap_std_days",
        _gaps(Statistic.STD),
        "spread of the days between orders",
        "days",
        "time between orders varies by {value} days",
    ),
    (
        "gap_last_days",
        _gaps(Statistic.LAST),
        "days between the last two orders",
        "days",
        "{value} days lay between the last two orders",
    ),
    (
        "gap_max_days",
        _gaps(Statistic.MAX),
        "longest pause between orders",
        "days",
        "longest pause so far was {value} days",
    ),
    (
        "recency_over_gap",
        Ratio(_RECENCY, _gaps(Statistic.MEAN)),
        "time since the last order against the usual pause",
        "times",
        "quiet for {value} times the usual pause",
    ),
    (
        "recency_over_tenure",
        Ratio(_RECENCY, _TENURE),
        "share of the time as a customer that has been quiet",
        "share",
        "quiet for {value} of the time as a customer",
    ),
    (
        "order_rate",
        Ratio(_ORDERS, _TENURE),
        "orders a day since the first",
        "orders a day",
        "orders {value} times a day since the first order",
    ),
    (
        "orders_balance_30d",
        Balance(_orders(30), _orders(60, 30)),
        "orders of the last 30 days against the 30 before",
        "balance",
        "orders of the last 30 days against the 30 before: {value}",
    ),
    (
        "orders_balance_90d",
        Balance(_orders(90), _orders(180, 90)),
        "orders of the last 90 days against the 90 before",
        "balance",
        "orders of the last 90 days against the 90 before: {value}",
    ),
    (
        "gross_balance_90d",
        Balance(_gross(90), _gross(180, 90)),
        "spend of the last 90 days against the 90 before",
        "balance",
        "spend of the last 90 days against the 90 before: {value}",
    ),
    (
        "orders_share_90d",
        Ratio(_orders(90), _ORDERS),
        "share of all orders in the last 90 days",
        "share",
        "{value} of all orders fell in the last 90 days",
    ),
    (
        "basket_ratio_90d",
        Ratio(
            Aggregate(Function.MEAN, Events.ORDERS, Property.GROSS, Window(90)),
            Aggregate(Function.MEAN, Events.ORDERS, Property.GROSS),
        ),
        "recent orders' value against the mean",
        "times",
        "orders of the last 90 days were {value} times the usual value",
    ),
    (
        "views_balance_30d",
        Balance(_count(Events.VIEWS, 30), _count(Events.VIEWS, 60, 30)),
        "views of the last 30 days against the 30 before",
        "balance",
        "views of the last 30 days against the 30 before: {value}",
    ),
)


_STEPS = 8
_STEP: tuple[tuple[str, Property, str, str, str], ...] = (
    (
        "days",
        Property.TIME,
        "days since the {nth} order",
        "days",
        "{nth} order was {{value}} days ago",
    ),
    (
        "gap",
        Property.DAY,
        "days from the order before to the {nth}",
        "days",
        "{nth} order came {{value}} days after the one before",
    ),
    (
        "gross",
        Property.GROSS,
        "value of the {nth} order",
        "currency",
        "{nth} order was worth {{value}}",
    ),
    (
        "items",
        Property.ITEMS,
        "items in the {nth} order",
        "items",
        "{nth} order had {{value}} items",
    ),
)


def _nth(place: int) -> str:
    """Say a place counted from the last order.

    >>> [_nth(place) for place in (1, 2, 3, 4)]
    ['last', '2nd last', '3rd last', '4th last']
    """
    endings = {2: "2nd ", 3: "3rd "}
    return "last" if place == 1 else f"{endings.get(place, f'{place}th ')}last"


def _sequence() -> Iterator[Feature]:
    for place in range(1, _STEPS + 1):
        for name, read, label, unit, words in _STEP:
            yield Feature(
                f"order{place}_{name}",
                "sequence",
                RecentOrder(read, place),
                label.format(nth=_nth(place)),
                unit,
                words.format(nth=_nth(place)),
            )


def _declared() -> Iterator[Feature]:
    for name, expression, label, unit, words in _RFM:
        yield Feature(name, "rfm", expression, label, unit, words)
    for days in _ORDER_WINDOWS:
        span = f"in the last {days} days"
        yield Feature(
            f"orders_{days}d",
            "windows",
            _orders(days),
            f"orders {span}",
            "orders",
            f"ordered {{value}} times {span}",
        )
    for days in _ORDER_WINDOWS:
        span = f"in the last {days} days"
        yield Feature(
            f"gross_{days}d",
            "windows",
            _gross(days),
            f"spend {span}",
            "currency",
            f"spent {{value}} {span}",
        )
    for events, noun in (
        (Events.VIEWS, "products viewed"),
        (Events.CARTS, "products put in carts"),
    ):
        for days in _VISIT_WINDOWS:
            span = f"in the last {days} days"
            yield Feature(
                f"{events}_{days}d",
                "windows",
                _count(events, days),
                f"{noun} {span}",
                "events",
                f"{{value}} {noun} {span}",
            )
    for name, expression, label, unit, words in _TRENDS:
        yield Feature(name, "trends", expression, label, unit, words)
    yield from _sequence()


FEATURES: Mapping[str, Feature] = {feature.name: feature for feature in _declared()}
"""Every declared feature by name, in matrix order."""


def select(groups: Iterable[str]) -> tuple[Feature, ...]:
    """Return the features of some groups, in the order of the registry."""
    wanted = set(groups)
    return tuple(feature for feature in FEATURES.values() if feature.group in wanted)


def feature_set_version(features: Iterable[Feature]) -> str:
    """Return a hash of what the features mean; labels and words do not count."""
    digest = hashlib.sha256(f"semantics {SEMANTICS_VERSION}\n{EVENT_NAMES!r}\n".encode())
    for feature in features:
        digest.update(f"{feature.name}\t{feature.expression!r}\n".encode())
    return digest.hexdigest()[:16]
