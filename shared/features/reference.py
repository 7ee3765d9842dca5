"""Every feature of the algebra computed the plain way, row by row, as what SQL must equal."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from shared.features.algebra import (
    EVENT_NAMES,
    ORDER_COMPLETED,
    Aggregate,
    Balance,
    Events,
    Expression,
    Function,
    Property,
    Ratio,
    RecentOrder,
    Statistic,
)
from shared.features.calendar import Instant

_DAY_MS = 86_400_000
_MICROS = 1e6


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of one user.

    Attributes:
        day: Its day in the workspace's zone.
    """

    event: str
    time_ms: int
    day: int
    order_part: int = 0
    gross_micros: int = 0
    net_micros: int = 0
    product_ids: tuple[str, ...] = ()
    quantities: tuple[float, ...] = field(default=())


def feature_value(expression: Expression, history: Sequence[Event], as_of: Instant) -> float:
    """Return a feature of one user at an instant; NaN is missing.

    Args:
        expression: What to compute.
        history: All events of the user, in any order; those from as_of on are left out here.
        as_of: The instant.
    """
    match expression:
        case Aggregate():
            return _aggregate(expression, history, as_of)
        case Ratio(top, bottom):
            return _quotient(_aggregate(top, history, as_of), _aggregate(bottom, history, as_of))
        case Balance(recent, earlier):
            one, other = (_aggregate(each, history, as_of) for each in (recent, earlier))
            return _quotient(one - other, one + other)
        case RecentOrder(read, place):
            return _recent(read, place, history, as_of)


def spend_micros(history: Sequence[Event], as_of: Instant, horizon_days: int) -> int:
    """Return the label of one user: gross spend on the days from as_of on."""
    return sum(
        each.gross_micros
        for each in history
        if is_match(Events.PURCHASES, each) and as_of.day <= each.day < as_of.day + horizon_days
    )


def is_match(events: Events, event: Event) -> bool:
    """Say whether an event is one of some events."""
    is_bought = event.event == ORDER_COMPLETED and event.gross_micros > 0
    match events:
        case Events.ANY:
            return True
        case Events.ORDERS:
            return is_bought and event.order_part == 0
        case Events.PURCHASES:
            return is_bought
    return event.event in EVENT_NAMES[events]


def _quotient(top: float, bottom: float) -> float:
    return math.nan if bottom == 0 else top / bottom


def _aggregate(aggregate: Aggregate, history: Sequence[Event], as_of: Instant) -> float:
    window = aggregate.window
    start = -math.inf if window.start is None else as_of.day - window.start
    chosen = [
        each
        for each in history
        if is_match(aggregate.events, each) and start <= each.day < as_of.day - window.end
    ]
    if aggregate.function is Function.COUNT:
        return len(chosen)
    if aggregate.function is Function.DISTINCT:
        return len({key for each in chosen for key in _keys(aggregate, each)})
    if aggregate.function is Function.GAPS:
        return _gap(aggregate, sorted({each.day for each in chosen}))
    assert aggregate.property is not None
    values = [_VALUES[aggregate.property](each) for each in chosen]
    if aggregate.function in (Function.FIRST, Function.LAST):
        values = [(as_of.time_ms - value) / _DAY_MS for value in values]
    if not values and aggregate.function is not Function.SUM:
        return math.nan
    return float(_SUMMARIES[aggregate.function](values))


def _recent(read: Property, place: int, history: Sequence[Event], as_of: Instant) -> float:
    chosen = sorted(
        (each.time_ms, each.gross_micros, _VALUES[Property.ITEMS](each))
        for each in history
        if is_match(Events.ORDERS, each) and each.time_ms < as_of.time_ms
    )
    before = len(chosen) - place
    if before < 0:
        return math.nan
    time_ms, gross_micros, items = chosen[before]
    match read:
        case Property.TIME:
            return (as_of.time_ms - time_ms) / _DAY_MS
        case Property.DAY:
            return (time_ms - chosen[before - 1][0]) / _DAY_MS if before else math.nan
        case Property.GROSS:
            return gross_micros / _MICROS
    return float(items)


def _keys(aggregate: Aggregate, event: Event) -> Sequence[object]:
    return event.product_ids if aggregate.property is Property.PRODUCT else (event.day,)


def _gap(aggregate: Aggregate, days: list[int]) -> float:
    steps = np.diff(days)
    if len(steps) < (2 if aggregate.statistic is Statistic.STD else 1):
        return math.nan
    match aggregate.statistic:
        case Statistic.MEAN:
            return float(steps.mean())
        case Statistic.STD:
            return float(steps.std())
        case Statistic.LAST:
            return float(steps[-1])
    return float(steps.max())


_VALUES: Mapping[Property, Callable[[Event], float]] = {
    Property.TIME: lambda event: event.time_ms,
    Property.GROSS: lambda event: event.gross_micros / _MICROS,
    Property.NET: lambda event: event.net_micros / _MICROS,
    Property.REFUNDED: lambda event: (event.gross_micros - event.net_micros) / _MICROS,
    Property.ITEMS: lambda event: sum(max(each, 0.0) for each in event.quantities),
}

# Ages shrink with time: the first event is the oldest, the last the youngest.
_SUMMARIES: Mapping[Function, Callable[[Sequence[float]], float]] = {
    Function.SUM: math.fsum,
    Function.MEAN: lambda values: math.fsum(values) / len(values),
    Function.MIN: min,
    Function.MAX: max,
    Function.FIRST: max,
    Function.LAST: min,
}
