"""Compiles declared features to one ClickHouse statement over users and instants.

Each user's matching events become short sorted arrays in one pass over the events; a window at an
instant is then the difference of two prefix sums. So the cost grows with events + users x instants
and not with events x instants x windows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.features.algebra import (
    Aggregate,
    Balance,
    Events,
    Expression,
    Feature,
    Function,
    Property,
    Ratio,
    Statistic,
    aggregates_of,
)
from shared.features.calendar import Instant, Spine
from shared.features.layers import (
    histories,
    is_first_ever,
    is_only_counted,
    is_summed,
    measure_of,
    prefixes,
    read_from_arrays,
)
from shared.features.sources import MONEY, family_of

SPEND = Aggregate(Function.SUM, Events.PURCHASES, Property.GROSS)
"""What the label sums, over the days from as_of on."""

_DAY_MS = 86_400_000
_MICROS = 1_000_000


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


@dataclass(frozen=True)
class _Layer:
    """Columns of one layer; those that cells ask for are added while cells are written."""

    first_day: int
    positions: dict[str, str]

    def position(self, days: str, day: int | None) -> str:
        """Name the column that says how many of a user's days lie before a day."""
        if day is None or day <= self.first_day:
            return "0"
        name = f"{days}_before_{day}"
        self.positions[name] = f"toInt64(arrayCount(x -> x < {day}, {days})) AS {name}"
        return name


class _Statement:
    def __init__(self, features: Sequence[Feature], spine: Spine, has_ranges: bool) -> None:
        self._features, self._spine, self._has_ranges = features, spine, has_ranges
        needed = [each for feature in features for each in _needed(feature.expression)]
        self._aggregates = list(dict.fromkeys(needed))
        self._names = {each: f"a{index}" for index, each in enumerate(self._aggregates)}
        self._used = self._aggregates if spine.horizon_days is None else [*self._aggregates, SPEND]
        self._layer = _Layer(spine.first_day, {})

    def text(self, source: str) -> str:
        keys = "user_key, first_index, last_index" if self._has_ranges else "user_key"
        arrays = self._arrays()
        values = [
            f"toFloat32({_value(feature.expression, self._names)}) AS {feature.name}"
            for feature in self._features
        ]
        label = [] if self._spine.horizon_days is None else ["spend_micros"]
        selected = ",\n  ".join(["user_key, as_of_index", *values, *label])
        listed = ",\n  ".join(f"[{', '.join(cells)}] AS {name}" for name, cells in arrays.items())
        firsts = [f"{each.events}_first" for each in self._used if is_first_ever(each)]
        inner = ",\n  ".join([keys, "seen", *dict.fromkeys(firsts), *prefixes(self._used)])
        counted = ",\n  ".join(["*", *self._layer.positions.values()])
        ranged = " AND as_of_index BETWEEN first_index AND last_index" if self._has_ranges else ""
        return (
            f"SELECT {selected}\n"
            f"FROM (SELECT {keys}, seen,\n  {listed}\n"
            f"FROM (SELECT {counted}\n"
            f"FROM (SELECT {inner}\n"
            f"FROM ({histories(self._used, source, keys)}))))\n"
            f"ARRAY JOIN {', '.join(arrays)}\n"
            f"WHERE seen < as_of_ms{ranged}"
        )

    def _arrays(self) -> dict[str, list[str]]:
        """Write one array for each number, with a cell for each instant."""
        instants = self._spine.instants
        arrays = {
            "as_of_index": [f"toUInt16({index})" for index in range(len(instants))],
            "as_of_ms": [f"toInt64({instant.time_ms})" for instant in instants],
        }
        for aggregate, name in self._names.items():
            arrays[name] = [self._cell(aggregate, instant) for instant in instants]
        if self._spine.horizon_days is not None:
            arrays["spend_micros"] = [
                self._ranged(SPEND, instant.day, instant.day + self._spine.horizon_days)
                for instant in instants
            ]
        return arrays

    def _cell(self, aggregate: Aggregate, instant: Instant) -> str:
        if is_first_ever(aggregate):
            first = f"{aggregate.events}_first"
            return f"if({first} < {instant.time_ms}, {first}, 0)"
        window = aggregate.window
        start = None if window.start is None else instant.day - window.start
        end = instant.day - window.end
        match aggregate.property:
            case Property.PRODUCT:
                return self._counted(f"{aggregate.events}_product_days", start, end)
            case Property.DAY:
                return self._of_days(aggregate, start, end)
        return self._ranged(aggregate, start, end)

    def _counted(self, days: str, start: int | None, end: int) -> str:
        high, low = self._layer.position(days, end), self._layer.position(days, start)
        return f"toInt64({high} - {low})"

    def _of_days(self, aggregate: Aggregate, start: int | None, end: int) -> str:
        days = f"{aggregate.events}_unique_days"
        if aggregate.function is Function.DISTINCT:
            return self._counted(days, start, end)
        low, high = self._layer.position(days, start), self._layer.position(days, end)
        assert aggregate.statistic is not None
        return _gap(aggregate.statistic, f"arraySlice({days}, {low} + 1, {high} - {low})")

    def _ranged(self, aggregate: Aggregate, start: int | None, end: int) -> str:
        family = family_of(aggregate.events)
        days, name = f"{family.name}_days", measure_of(aggregate).name
        if is_only_counted(family, read_from_arrays(family, self._used)):
            return self._counted(days, start, end)
        low, high = self._layer.position(days, start), self._layer.position(days, end)
        if is_summed(aggregate):
            return f"{name}_sums[{high} + 1] - {name}_sums[{low} + 1]"
        part = f"arraySlice({name}_values, {low} + 1, {high} - {low})"
        if aggregate.function in (Function.LAST, Function.MAX):
            return f"arrayMax({part})"
        return f"arrayMin(arrayFilter(x -> x > 0, {part}))"


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


def _quotient(top: str, bottom: str) -> str:
    return f"if({bottom} = 0, nan, {top} / {bottom})"


def _aggregate_value(aggregate: Aggregate, names: dict[Aggregate, str]) -> str:
    unit = f" / {_MICROS}" if aggregate.property in MONEY else ""
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
