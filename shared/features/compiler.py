"""Compiles declared features to one ClickHouse statement over users and instants.

Each user's matching events become short sorted arrays in one pass over the events; a window at an
instant is then the difference of two prefix sums. So the cost grows with events + users x instants
and not with events x instants x windows.
"""

from collections.abc import Iterable, Sequence
from itertools import count

from shared.features.algebra import (
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
    aggregates_of,
)
from shared.features.calendar import Instant, Spine
from shared.features.layers import (
    READ_OF_ORDERS,
    counted_by_slot,
    histories,
    is_first_ever,
    is_summed,
    measure_of,
    prefixes,
)
from shared.features.slots import cell, slots_of
from shared.features.sources import MICROS, family_of

SPEND = Aggregate(Function.SUM, Events.PURCHASES, Property.GROSS)
"""What the label sums, over the days from as_of on."""

_DAY_MS = 86_400_000
_MILLION = 1_000_000


def compile_sql(
    features: Sequence[Feature], spine: Spine, source: str, *, has_ranges: bool = False
) -> str:
    """Write the statement for some features, and for the label if the spine has a horizon.

    Its rows are (user_key, as_of_index, one Float32 for each feature, and spend_micros with a
    label), in no order; a row is there when the user was known before the instant. It takes the
    parameter `zone`, and those of the source.

    Args:
        features: What to compute, in the order of the columns.
        spine: At which instants.
        source: Statement of the events as known: user_key, event, event_time, order_part,
            gross_micros, net_micros, product_ids, quantities.
        has_ranges: Whether the source also says between which instants (first_index, last_index)
            a row counts for its user.
    """
    return _Statement(features, spine, has_ranges).text(source)


class _Statement:
    def __init__(self, features: Sequence[Feature], spine: Spine, has_ranges: bool) -> None:
        self._features, self._spine, self._has_ranges = features, spine, has_ranges
        needed = [each for feature in features for each in _needed(feature.expression)]
        self._names = {each: f"a{index}" for index, each in enumerate(dict.fromkeys(needed))}
        self._has_recent = any(isinstance(each.expression, RecentOrder) for each in features)
        is_labelled = spine.horizon_days is not None
        self._used = [*self._names, *([SPEND] if is_labelled else [])]
        self._counted = counted_by_slot(self._used)
        self._slots = slots_of(self._counted, spine)
        self._positions: dict[str, str] = {}

    def text(self, source: str) -> str:
        keys = "user_key, first_index, last_index" if self._has_ranges else "user_key"
        # Cells are written first because they say which positions the layer below them needs.
        cells = [f"{self._cell(aggregate)} AS {name}" for aggregate, name in self._names.items()]
        values = [
            f"toFloat32({_value(feature.expression, self._names)}) AS {feature.name}"
            for feature in self._features
        ]
        if self._spine.horizon_days is not None:
            cells.append(f"{self._ranged(SPEND, 0, -self._spine.horizon_days)} AS spend_micros")
            values.append("spend_micros")
        ranged = " AND t.1 BETWEEN first_index AND last_index" if self._has_ranges else ""
        instants = ",\n  ".join(
            map(self._instant, count(self._spine.first_index), self._spine.instants)
        )
        kept = ["recent_orders"] if self._has_recent else []
        if kept:
            later = "arrayCount(x -> x.1 >= as_of_ms, recent_orders)"
            cells.append(f"toUInt32({later}) AS later_orders")
        counts = [f"instant.{n + 4} AS count_{n}" for n in range(len(self._counted))]
        joined = ["*", *_INSTANT, *counts, *self._positions.values()]
        return (
            f"SELECT {_listed(['user_key, as_of_index', *values])}\n"
            f"FROM (SELECT {_listed(['user_key, as_of_index, as_of_ms', *kept, *cells])}\n"
            f"FROM (SELECT {_listed(joined)}\n"
            f"FROM (SELECT {_listed([f'{keys}, seen', *prefixes(self._used, self._has_recent)])}\n"
            f"FROM {histories(self._used, self._has_recent, source, keys, self._slots)})\n"
            f"ARRAY JOIN arrayFilter(t -> t.3 > seen{ranged}, [\n  {instants}]) AS instant))"
        )

    def _instant(self, index: int, instant: Instant) -> str:
        """Write one instant with the counts that belong to it."""
        counts = [
            cell(self._slots, each, f"{family_of(each.events).name}_sums", instant.day)
            for each in self._counted
        ]
        return f"({', '.join([f'{index}, {instant.day}, {instant.time_ms}', *counts])})"

    def _cell(self, aggregate: Aggregate) -> str:
        if aggregate in self._counted:
            return f"count_{self._counted.index(aggregate)}"
        if is_first_ever(aggregate):
            first = f"{aggregate.events}_first"
            return f"if({first} < as_of_ms, {first}, 0)"
        window = aggregate.window
        match aggregate.property:
            case Property.PRODUCT:
                return self._between(f"{aggregate.events}_product_days", window.start, window.end)
            case Property.DAY:
                return self._of_days(aggregate)
        return self._ranged(aggregate, window.start, window.end)

    def _between(self, days: str, start: int | None, end: int) -> str:
        return f"{self._position(days, end)} - {self._position(days, start)}"

    def _of_days(self, aggregate: Aggregate) -> str:
        days, window = f"{aggregate.events}_unique_days", aggregate.window
        if aggregate.function is Function.DISTINCT:
            return self._between(days, window.start, window.end)
        low, high = self._position(days, window.start), self._position(days, window.end)
        assert aggregate.statistic is not None
        return _gap(aggregate.statistic, f"arraySlice({days}, {low} + 1, {high} - {low})")

    def _ranged(self, aggregate: Aggregate, start: int | None, end: int) -> str:
        family = family_of(aggregate.events)
        days, name = f"{family.name}_days", measure_of(aggregate).name
        low, high = self._position(days, start), self._position(days, end)
        if is_summed(aggregate):
            before = f" - {name}_sums[{low} + 1]" if start is not None else ""
            return f"{name}_sums[{high} + 1]{before}"
        part = f"arraySlice({name}_values, {low} + 1, {high} - {low})"
        if aggregate.function in (Function.LAST, Function.MAX):
            return f"arrayMax({part})"
        return f"arrayMin(arrayFilter(x -> x > 0, {part}))"

    def _position(self, days: str, ago: int | None) -> str:
        """Name the column that says how many of a user's days lie before some days ago."""
        if ago is None:
            return "0"
        name = f"{days}_before_{ago}".replace("-", "in_")
        bound = "as_of_day" if ago == 0 else f"as_of_day - {ago}".replace("- -", "+ ")
        self._positions[name] = f"toInt64(arrayCount(x -> x < {bound}, {days})) AS {name}"
        return name


_INSTANT = (
    "toUInt16(instant.1) AS as_of_index",
    "toInt32(instant.2) AS as_of_day",
    "toInt64(instant.3) AS as_of_ms",
)


def _listed(columns: Sequence[str]) -> str:
    return ",\n  ".join(columns)


def _needed(expression: Expression) -> Iterable[Aggregate]:
    """Return the aggregates that have an array, for all that an expression reads."""
    for aggregate in aggregates_of(expression):
        is_mean = aggregate.function is Function.MEAN
        yield _total(aggregate) if is_mean else aggregate
        if is_mean or aggregate.function in (Function.MIN, Function.MAX):
            yield _count(aggregate)


def _total(aggregate: Aggregate) -> Aggregate:
    return Aggregate(Function.SUM, aggregate.events, aggregate.property, aggregate.window)


def _count(aggregate: Aggregate) -> Aggregate:
    return Aggregate(Function.COUNT, aggregate.events, window=aggregate.window)


def _gap(statistic: Statistic, days: str) -> str:
    """Write one statistic of the steps between a user's days; -1 stands for missing."""
    steps = f"arrayPopFront(arrayDifference({days}))"
    match statistic:
        case Statistic.MEAN:
            value = f"({days}[-1] - {days}[1]) / (length({days}) - 1)"
        case Statistic.LAST:
            value = f"{days}[-1] - {days}[-2]"
        case Statistic.MAX:
            value = f"arrayMax({steps})"
        case Statistic.STD:
            mean = f"({days}[-1] - {days}[1]) / (length({days}) - 1)"
            square = f"arraySum(x -> x * x, {steps}) / (length({days}) - 1)"
            value = f"sqrt(greatest({square} - {mean} * {mean}, 0))"
    least = 3 if statistic is Statistic.STD else 2
    return f"if(length({days}) < {least}, -1., toFloat64({value}))"


def _value(expression: Expression, names: dict[Aggregate, str]) -> str:
    match expression:
        case Aggregate():
            return _aggregate_value(expression, names)
        case Ratio(top, bottom):
            return _quotient(_aggregate_value(top, names), _aggregate_value(bottom, names))
        case Balance(recent, earlier):
            one, other = _aggregate_value(recent, names), _aggregate_value(earlier, names)
            return _quotient(f"({one} - {other})", f"({one} + {other})")
        case RecentOrder(read, place):
            return _recent_value(read, place)


def _recent_value(read: Property, place: int) -> str:
    """Write a value of one order; past the end an array has zeros."""

    def value(place: int, read: Property) -> str:
        return f"recent_orders[later_orders + {place}].{READ_OF_ORDERS.index(read) + 1}"

    time = value(place, Property.TIME)
    match read:
        case Property.TIME:
            return f"if({time} = 0, nan, (as_of_ms - {time}) / {_DAY_MS})"
        case Property.DAY:
            before = value(place + 1, Property.TIME)
            return f"if({before} = 0, nan, ({time} - {before}) / {_DAY_MS})"
    return f"if({time} = 0, nan, {value(place, read)} / {_MILLION})"


def _quotient(top: str, bottom: str) -> str:
    return f"if({bottom} = 0, nan, {top} / {bottom})"


def _aggregate_value(aggregate: Aggregate, names: dict[Aggregate, str]) -> str:
    unit = f" / {_MILLION}" if aggregate.property in MICROS else ""
    match aggregate.function:
        case Function.COUNT | Function.DISTINCT | Function.SUM:
            return f"({names[aggregate]}{unit})"
        case Function.FIRST | Function.LAST:
            name = names[aggregate]
            return f"if({name} = 0, nan, (as_of_ms - {name}) / {_DAY_MS})"
        case Function.GAPS:
            return f"if({names[aggregate]} < 0, nan, {names[aggregate]})"
        case Function.MEAN:
            value = f"{names[_total(aggregate)]}{unit} / {names[_count(aggregate)]}"
            return f"if({names[_count(aggregate)]} = 0, nan, {value})"
        case Function.MIN | Function.MAX:
            return f"if({names[_count(aggregate)]} = 0, nan, {names[aggregate]}{unit})"
