"""What is kept of every user and visitor, and how a block of events changes it."""

from collections.abc import Callable

import numpy as np

from shared.features.algebra import Events, Property
from shared.features.layers import Measure
from shared.features.online.arena import Arena
from shared.features.online.block import NO_TIME, EventBlock
from shared.features.online.days import LocalDays
from shared.features.online.outcomes import Keys, Whole
from shared.features.online.persons import Persons
from shared.features.online.plan import DAY, TIME, FamilyPlan, Plan

_Join = Callable[[Whole, Whole], tuple[Whole, Whole]]

ORDER_READS = (
    Measure(Events.ORDERS, Property.TIME),
    Measure(Events.ORDERS, Property.GROSS),
    Measure(Events.ORDERS, Property.ITEMS),
)
"""What is kept of each of the last orders, in the order by which they are sorted."""


class State:
    """State of all slots; a slot is a key that an event named, or an edge.

    Attributes:
        keys: Key of each slot.
        first_ms: For each kind of events in the plan, when a slot first had one.
        identified_ms: When a slot was first named as a user.
        is_stale: Slots that miss an event which came too late.
        settled_day: Events of earlier days are kept by day: nothing changes them any more.
    """

    def __init__(self, plan: Plan, days: LocalDays) -> None:
        self.plan, self.days = plan, days
        self.slot_of: dict[int, int] = {}
        self.keys: Keys = np.zeros(0, np.uint64)
        self.identified_ms = np.zeros(0, np.int64)
        self.is_stale = np.zeros(0, np.bool_)
        self.first_ms = np.zeros((len(plan.firsts), 0), np.int64)
        self.families = [Arena(family.width) for family in plan.families]
        self.orders = Arena(len(ORDER_READS))
        self.products = [Arena(2) for _ in plan.products]
        self.product_of: dict[str, int] = {}
        self.persons = Persons()
        self.settled_day = 0
        self.settled_ms = -NO_TIME

    @property
    def arenas(self) -> list[Arena]:
        """Every run of rows that a slot has, in the order in which it is written."""
        return [*self.families, *self.products, self.orders]

    def settle(self, before_ms: int) -> None:
        """Say that no event before an instant comes any more; days before its day are settled."""
        day = int(self.days.of(np.array([before_ms]))[0])
        if day > self.settled_day:
            self.settled_day, self.settled_ms = day, self.days.start(day)

    def find(self, keys: Keys) -> Whole:
        """Return the slot of each key; -1 where there is none."""
        get = self.slot_of.get
        return np.array([get(key, -1) for key in keys.tolist()], np.int64)

    def slots(self, keys: Keys) -> Whole:
        """Return the slot of each key; a new key gets the next one."""
        wanted, places = np.unique(keys, return_inverse=True)
        found = self.find(wanted)
        fresh = np.flatnonzero(found < 0)
        if len(fresh):
            known = len(self.slot_of)
            found[fresh] = np.arange(known, known + len(fresh))
            self.slot_of.update(zip(wanted[fresh].tolist(), found[fresh].tolist(), strict=True))
            self._resize(len(self.slot_of))
            self.keys[found[fresh]] = wanted[fresh]
        return found[places.reshape(-1)]

    def _resize(self, slots: int) -> None:
        for arena in self.arenas:
            arena.resize(slots)
        self.persons.resize(slots)
        more = max(slots, 2 * len(self.keys), 64) - len(self.keys)
        if slots > len(self.keys):
            never = np.full(more, NO_TIME, np.int64)
            self.keys = np.concatenate([self.keys, np.zeros(more, np.uint64)])
            self.identified_ms = np.concatenate([self.identified_ms, never])
            self.is_stale = np.concatenate([self.is_stale, np.zeros(more, np.bool_)])
            self.first_ms = np.concatenate(
                [self.first_ms, np.tile(never, (len(self.first_ms), 1))], axis=1
            )

    def add(self, block: EventBlock, slots: Whole) -> None:
        """Take events in, in any order.

        Args:
            block: The events, each once.
            slots: Whose they are.
        """
        for place, events in enumerate(self.plan.firsts):
            match = block.matches(events)
            np.minimum.at(self.first_ms[place], slots[match], block.times_ms[match])
        is_user = block.user_keys != 0
        np.minimum.at(self.identified_ms, slots[is_user], block.times_ms[is_user])
        days = self.days.of(block.times_ms)
        for family, arena in zip(self.plan.families, self.families, strict=True):
            self._add_family(family, arena, block, slots, days)
        for events, arena in zip(self.plan.products, self.products, strict=True):
            self._add_products(events, arena, block, slots)
        if self.plan.recent_orders:
            match = block.matches(Events.ORDERS)
            rows = np.stack([block.values(each)[match] for each in ORDER_READS], axis=1)
            self._append(self.orders, slots[match], rows, self._trimmed, len(ORDER_READS))

    def _add_family(
        self, family: FamilyPlan, arena: Arena, block: EventBlock, slots: Whole, days: Whole
    ) -> None:
        match = np.zeros(len(block), np.bool_)
        for member in family.family.members:
            match |= block.matches(member)
        if not match.any():
            return
        least = [block.values(each, NO_TIME) for each in family.least]
        columns = [
            block.times_ms,
            days,
            *(block.values(each) for each in (*family.sums, *family.greatest)),
            # As in the statement, what is not above 0 is no least value.
            *(np.where(each > 0, each, NO_TIME) for each in least),
        ]
        rows = np.stack([column[match] for column in columns], axis=1)

        def by_day(owners: Whole, rows: Whole) -> tuple[Whole, Whole]:
            return self._by_day(family, owners, rows)

        self._append(arena, slots[match], rows, by_day, 1)

    def _by_day(self, family: FamilyPlan, owners: Whole, rows: Whole) -> tuple[Whole, Whole]:
        """Sort by time, drop what is out of every window, and join the rows of settled days."""
        if family.lookback is not None:
            is_read = rows[:, DAY] >= self.settled_day - family.lookback
            owners, rows = owners[is_read], rows[is_read]
        order = np.lexsort((rows[:, TIME], owners))
        owners, rows = owners[order], rows[order]
        joins = (
            (rows[1:, DAY] < self.settled_day)
            & (owners[1:] == owners[:-1])
            & (rows[1:, DAY] == rows[:-1, DAY])
        )
        if not joins.any():
            return owners, rows
        starts = np.flatnonzero(np.concatenate([[True], ~joins]))
        days = rows[starts]
        days[:, TIME] = np.maximum.reduceat(rows[:, TIME], starts)
        for columns, join in (
            (family.sum_columns, np.add),
            (family.greatest_columns, np.maximum),
            (family.least_columns, np.minimum),
        ):
            if columns.stop > columns.start:
                days[:, columns] = join.reduceat(rows[:, columns], starts, axis=0)
        return owners[starts], days

    def _trimmed(self, owners: Whole, rows: Whole) -> tuple[Whole, Whole]:
        """Keep the last orders before the settled day, and all since."""
        order = np.lexsort((*rows.T[::-1], owners))
        owners, rows = owners[order], rows[order]
        is_settled = rows[:, TIME] < self.settled_ms
        stops = np.searchsorted(owners, np.arange(owners[-1] + 1), "right")
        settled = np.cumsum(is_settled)
        last = np.concatenate([[0], settled])[stops][owners]
        is_kept = ~is_settled | (last - settled < self.plan.recent_orders)
        return owners[is_kept], rows[is_kept]

    def _add_products(self, events: Events, arena: Arena, block: EventBlock, slots: Whole) -> None:
        parents, ids = block.products(events)
        if not len(parents):
            return
        encoded = ids.dictionary_encode()
        numbers = [
            self.product_of.setdefault(name, len(self.product_of))
            for name in encoded.dictionary.to_pylist()
        ]
        products = np.array(numbers, np.int64)[encoded.indices.to_numpy()]
        rows = np.stack([products, block.times_ms[parents]], axis=1)
        self._rewrite(arena, slots[parents], rows, _first_of_each)

    def _append(self, arena: Arena, slots: Whole, fresh: Whole, join: _Join, keys: int) -> None:
        """Put rows behind those of their slots, where they come later and there is room.

        Only the others are joined with what is there, so that events in order cost the same
        however many a slot has; days are joined when a slot runs out of room.

        Args:
            arena: Where the slots have their rows.
            slots: Of each new row.
            fresh: The new rows.
            join: Joins new rows with those that are there.
            keys: By how many columns, from the first on, the rows of a slot are in order.
        """
        order = np.lexsort((*fresh.T[keys - 1 :: -1], slots))
        slots, fresh = slots[order], fresh[order]
        touched, first, counts = np.unique(slots, return_index=True, return_counts=True)
        is_later = arena.accepts(touched, counts, fresh[first, TIME], TIME)
        is_appended = np.repeat(is_later, counts)
        arena.extend(touched[is_later], counts[is_later], fresh[is_appended])
        self._rewrite(arena, slots[~is_appended], fresh[~is_appended], join)

    def _rewrite(self, arena: Arena, slots: Whole, fresh: Whole, join: _Join) -> None:
        """Join new rows with those that their slots have."""
        if not len(slots):
            return
        touched, owners = np.unique(slots, return_inverse=True)
        places, lengths = arena.places(touched)
        kept = np.repeat(np.arange(len(touched)), lengths)
        owners, rows = join(
            np.concatenate([kept, owners.reshape(-1)]), np.concatenate([arena.rows[places], fresh])
        )
        arena.put(touched, np.bincount(owners, minlength=len(touched)), rows)


def _first_of_each(owners: Whole, rows: Whole) -> tuple[Whole, Whole]:
    """Keep of each product the first instant."""
    order = np.lexsort((rows[:, 1], rows[:, 0], owners))
    owners, rows = owners[order], rows[order]
    is_first = np.ones(len(rows), np.bool_)
    is_first[1:] = (owners[1:] != owners[:-1]) | (rows[1:, 0] != rows[:-1, 0])
    return owners[is_first], rows[is_first]
