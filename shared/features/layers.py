"""The inner layers of the compiled statement: each user's history as short sorted arrays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.features.algebra import EVER, Aggregate, Events, Function, Property
from shared.features.slots import Slots
from shared.features.sources import CONDITIONS, EMPTY, FAMILIES, VALUES, Family, family_of


@dataclass(frozen=True)
class Measure:
    """One number of every event of a family: its property where it matches, else 0."""

    events: Events
    reads: Property | None

    @property
    def name(self) -> str:
        """Name of the column."""
        return f"{self.events}_{self.reads or 'count'}"

    @property
    def value(self) -> str:
        """Its expression over a row."""
        condition = CONDITIONS[self.events]
        if self.reads is None:
            return f"toUInt8({condition})"
        if condition == family_of(self.events).condition:
            return VALUES[self.reads]
        return f"if({condition}, {VALUES[self.reads]}, {EMPTY.get(self.reads, '0')})"


def measure_of(aggregate: Aggregate) -> Measure:
    """Return what an aggregate reads; days are read where something matches."""
    is_day = aggregate.property is Property.DAY
    return Measure(aggregate.events, None if is_day else aggregate.property)


def is_first_ever(aggregate: Aggregate) -> bool:
    """Whether the earliest of all matching events answers, which needs no array."""
    return aggregate.function is Function.FIRST and aggregate.window == EVER


def is_summed(aggregate: Aggregate) -> bool:
    """Whether a difference of prefix sums answers."""
    return aggregate.function in (Function.COUNT, Function.SUM)


def is_only_counted(family: Family, aggregates: Iterable[Aggregate]) -> bool:
    """Whether the unsorted days of a family are all that its aggregates ask for."""
    return len(family.members) == 1 and all(
        each.function is Function.COUNT for each in read_from_arrays(family, aggregates)
    )


def read_from_arrays(family: Family, aggregates: Iterable[Aggregate]) -> list[Aggregate]:
    """Return the aggregates of a family that are answered from its arrays."""
    return [
        each for each in aggregates if family_of(each.events) is family and not is_first_ever(each)
    ]


def counted_by_slot(aggregates: Sequence[Aggregate]) -> list[Aggregate]:
    """Return the aggregates of families that are only counted."""
    return [
        each
        for family in FAMILIES
        if is_only_counted(family, aggregates)
        for each in read_from_arrays(family, aggregates)
    ]


def histories(
    aggregates: Sequence[Aggregate],
    has_recent: bool,
    source: str,
    keys: str,
    slots: Slots,
) -> str:
    """Write the layers that turn events into one row for each user.

    A family of which more than counts is asked gets a pass of its own: it reads wide columns, and
    only of its few events.
    """
    rows = (
        "(SELECT *, toUnixTimestamp64Milli(event_time) AS ms,\n"
        "  toUInt16(toDate(event_time, {zone:String})) AS day\n"
        f"FROM ({source}))"
    )
    slotted = rows
    if slots.edges:
        slotted = f"(SELECT *, {slots.of_day} AS slot\nFROM {rows})"
    firsts = dict.fromkeys(each.events for each in aggregates if is_first_ever(each))
    columns = [
        "min(ms) AS seen",
        *(f"minIf(ms, {CONDITIONS[events]}) AS {events}_first" for events in firsts),
    ]
    joins = []
    for family in FAMILIES:
        used = read_from_arrays(family, aggregates)
        lists = [f"groupArray({each.value}) AS {each.name}_list" for each in _measures(used)]
        if has_recent and family is family_of(Events.ORDERS):
            lists.append(
                f"groupArrayIf(({', '.join(VALUES[each] for each in READ_OF_ORDERS)}),"
                f" {CONDITIONS[Events.ORDERS]}) AS order_list"
            )
        if not lists:
            continue
        if is_only_counted(family, used):
            key = f"if({family.condition}, slot, {slots.count})"
            counts = f"countResample(0, {slots.count}, 1)({key})"
            columns.append(f"arrayCumSum({counts}) AS {family.name}_sums")
            continue
        listed = ",\n  ".join([f"groupArray(day) AS {family.name}_day_list", *lists])
        joins.append(
            f"\nLEFT JOIN (SELECT {keys},\n"
            f"  {listed}\n"
            f"FROM {rows}\nWHERE {family.condition}\nGROUP BY {keys}) AS {family.name}"
            f" USING ({keys})"
        )
    joined = ",\n  ".join(columns)
    users = f"(SELECT {keys},\n  {joined}\nFROM {slotted}\nGROUP BY {keys}) AS users"
    return users + "".join(joins)


READ_OF_ORDERS = (Property.TIME, Property.GROSS, Property.ITEMS)
"""What is kept of each order where orders are asked for one by one."""


def prefixes(aggregates: Sequence[Aggregate], has_recent: bool) -> list[str]:
    """Write the columns that sort each history by day and sum it up to every event."""
    firsts = dict.fromkeys(each.events for each in aggregates if is_first_ever(each))
    columns = [f"{events}_first" for events in firsts]
    if has_recent:
        columns.append("arrayReverseSort(order_list) AS recent_orders")
    for family in FAMILIES:
        used = read_from_arrays(family, aggregates)
        if not used:
            continue
        if is_only_counted(family, used):
            columns.append(f"{family.name}_sums")
            continue
        day_list = f"{family.name}_day_list"
        columns.append(f"arraySort({day_list}) AS {family.name}_days")
        columns += [
            f"arraySort((x, d) -> d, {measure.name}_list, {day_list}) AS {measure.name}_values"
            for measure in _measures(used)
        ]
        columns += dict.fromkeys(column for each in used for column in _derived(each, family))
    return columns


def _measures(aggregates: Iterable[Aggregate]) -> list[Measure]:
    return list(dict.fromkeys(measure_of(each) for each in aggregates))


def _derived(aggregate: Aggregate, family: Family) -> list[str]:
    name = measure_of(aggregate).name
    values, days = f"{name}_values", f"{family.name}_days"
    if is_summed(aggregate):
        return [f"arrayPushFront(arrayCumSum(x -> toInt64(x), {values}), 0) AS {name}_sums"]
    if aggregate.property is Property.DAY:
        matching = f"arrayFilter((d, x) -> x > 0, {days}, {values})"
        return [f"arrayCompact({matching}) AS {aggregate.events}_unique_days"]
    if aggregate.property is Property.PRODUCT:
        each_day = f"arrayMap((d, x) -> arrayWithConstant(length(x), d), {days}, {values})"
        first = f"arrayEnumerateUniq(arrayFlatten({values}))"
        name = f"{aggregate.events}_product_days"
        return [f"arrayFilter((d, x) -> x = 1, arrayFlatten({each_day}), {first}) AS {name}"]
    return []
