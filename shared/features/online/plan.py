"""Which state the declared features need, and how each is read from it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from shared.errors import InvalidArgumentError
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
    aggregates_of,
)
from shared.features.layers import Measure, is_first_ever, is_summed
from shared.features.sources import FAMILIES, Family, family_of

TIME, DAY = 0, 1
"""The first two columns of a family's rows: instant (ms) and day."""


@dataclass(frozen=True)
class FamilyPlan:
    """What is kept of the events of a family: rows of time, day, sums, greatest, least values.

    A row is one event, or all events of a day that no late event can change any more.

    Attributes:
        lookback: Days before as_of after which a row is read by nothing; None is for ever.
        summed: Aggregates that a difference of prefix sums answers.
        extremes: Aggregates that the greatest or least value in a window answers.
        of_days: Aggregates over the different days with a matching event.
    """

    family: Family
    lookback: int | None
    sums: tuple[Measure, ...]
    greatest: tuple[Measure, ...]
    least: tuple[Measure, ...]
    summed: tuple[Aggregate, ...]
    extremes: tuple[Aggregate, ...]
    of_days: tuple[Aggregate, ...]

    @property
    def width(self) -> int:
        """Columns of a row."""
        return 2 + len(self.sums) + len(self.greatest) + len(self.least)

    @property
    def sum_columns(self) -> slice:
        """Which columns are added up over a day."""
        return slice(2, 2 + len(self.sums))

    @property
    def greatest_columns(self) -> slice:
        """Of which columns the greatest is kept."""
        return slice(self._greatest_start, self._least_start)

    @property
    def least_columns(self) -> slice:
        """Of which columns the least is kept."""
        return slice(self._least_start, self.width)

    def column(self, aggregate: Aggregate) -> int:
        """Return the column that an aggregate reads."""
        if is_summed(aggregate):
            return 2 + self.sums.index(Measure(aggregate.events, aggregate.property))
        if aggregate.property is Property.DAY:
            return 2 + self.sums.index(Measure(aggregate.events, None))
        measure = Measure(aggregate.events, aggregate.property)
        if aggregate.function in (Function.LAST, Function.MAX):
            return self._greatest_start + self.greatest.index(measure)
        return self._least_start + self.least.index(measure)

    @property
    def _greatest_start(self) -> int:
        return 2 + len(self.sums)

    @property
    def _least_start(self) -> int:
        return self.width - len(self.least)


@dataclass(frozen=True)
class Plan:
    """The state that some features need.

    Attributes:
        firsts: Events whose first instant is kept for each slot.
        families: Events kept one by one, and by day once they are settled.
        products: Events of which the different products are kept.
        recent_orders: How many of the last orders are kept one by one; 0 keeps none.
    """

    features: tuple[Feature, ...]
    firsts: tuple[Events, ...]
    families: tuple[FamilyPlan, ...]
    products: tuple[Events, ...]
    recent_orders: int


def plan_of(features: Sequence[Feature]) -> Plan:
    """Say which state some features need.

    Raises:
        InvalidArgumentError: A feature cannot be kept up event by event; the message names it.
    """
    for feature in features:
        if not isinstance(feature.expression, Aggregate | Ratio | Balance | RecentOrder):
            raise InvalidArgumentError(
                f"the feature {feature.name} cannot be kept up event by event, because "
                f"{type(feature.expression).__name__} is no part of the algebra; leave it out of "
                "predictions that are made as events happen",
                reason="FEATURE_NOT_ONLINE",
                feature=feature.name,
            )
    needed = tuple(
        dict.fromkeys(each for feature in features for each in parts_of(feature.expression))
    )
    places = [
        feature.expression.place + (feature.expression.property is Property.DAY)
        for feature in features
        if isinstance(feature.expression, RecentOrder)
    ]
    return Plan(
        tuple(features),
        tuple(dict.fromkeys(each.events for each in needed if is_first_ever(each))),
        tuple(_families(needed)),
        tuple(dict.fromkeys(each.events for each in needed if each.property is Property.PRODUCT)),
        max(places, default=0),
    )


def parts_of(expression: Expression) -> Iterator[Aggregate]:
    """Return what an expression reads of the state: a mean is a sum and a count."""
    for aggregate in aggregates_of(expression):
        if aggregate.function is Function.MEAN:
            yield total_of(aggregate)
        else:
            yield aggregate
        if aggregate.function in (Function.MEAN, Function.MIN, Function.MAX):
            yield count_of(aggregate)


def total_of(aggregate: Aggregate) -> Aggregate:
    """Return the sum over the same events."""
    return Aggregate(Function.SUM, aggregate.events, aggregate.property, aggregate.window)


def count_of(aggregate: Aggregate) -> Aggregate:
    """Return the count of the same events."""
    return Aggregate(Function.COUNT, aggregate.events, window=aggregate.window)


def _families(needed: Iterable[Aggregate]) -> Iterator[FamilyPlan]:
    kept = [
        each for each in needed if not is_first_ever(each) and each.property is not Property.PRODUCT
    ]
    for family in FAMILIES:
        used = [each for each in kept if family_of(each.events) is family]
        if not used:
            continue
        summed = tuple(each for each in used if is_summed(each))
        of_days = tuple(each for each in used if each.property is Property.DAY)
        extremes = tuple(each for each in used if each not in (*summed, *of_days))
        starts = [each.window.start for each in used]
        yield FamilyPlan(
            family,
            None if None in starts else max(start for start in starts if start is not None),
            tuple(
                dict.fromkeys(
                    [Measure(each.events, each.property) for each in summed]
                    + [Measure(each.events, None) for each in of_days]
                )
            ),
            _measures(extremes, (Function.LAST, Function.MAX)),
            _measures(extremes, (Function.FIRST, Function.MIN)),
            summed,
            extremes,
            of_days,
        )


def _measures(
    extremes: Iterable[Aggregate], functions: tuple[Function, ...]
) -> tuple[Measure, ...]:
    return tuple(
        dict.fromkeys(
            Measure(each.events, each.property) for each in extremes if each.function in functions
        )
    )
