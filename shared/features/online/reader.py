"""Feature values out of the state, for many users at once, each at its own instant."""

from collections.abc import Sequence

import numpy as np

from shared.features.algebra import (
    Aggregate,
    Balance,
    Function,
    Property,
    Ratio,
    RecentOrder,
    aggregates_of,
)
from shared.features.online.arena import Arena
from shared.features.online.outcomes import Floats, Keys, Mask, Rows, Status, Whole
from shared.features.online.persons import leaders
from shared.features.online.plan import TIME, Plan, count_of, total_of
from shared.features.online.state import ORDER_READS, State
from shared.features.online.windows import FamilyReader
from shared.features.sources import MICROS

_DAY_MS = 86_400_000
_MILLION = 1_000_000
_OF_ORDER = (Property.TIME, Property.DAY, Property.GROSS, Property.ITEMS)
_PRODUCT, _FIRST_BOUGHT = 0, 1


class Reader:
    """Computes the features of a plan.

    Args:
        plan: What is kept and asked.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._families = [FamilyReader(each) for each in plan.families]
        cells = [
            *(each for family in plan.families for each in family.summed),
            *(each for family in plan.families for each in family.extremes),
            *(each for family in plan.families for each in family.of_days),
            *(Aggregate(Function.FIRST, events, Property.TIME) for events in plan.firsts),
            *(Aggregate(Function.DISTINCT, events, Property.PRODUCT) for events in plan.products),
        ]
        cell = {aggregate: place for place, aggregate in enumerate(cells)}
        self._is_micros = np.array([each.property in MICROS for each in cells], np.bool_)
        self._is_time = np.array([each.property is Property.TIME for each in cells], np.bool_)
        asked = list(
            dict.fromkeys(
                each for feature in plan.features for each in aggregates_of(feature.expression)
            )
        )
        is_mean = [each.function is Function.MEAN for each in asked]
        is_counted = [each.function in (Function.MIN, Function.MAX) for each in asked]
        self._read = np.array(
            [
                cell[total_of(each) if mean else each]
                for each, mean in zip(asked, is_mean, strict=True)
            ],
            np.int64,
        )
        self._means, self._counted = np.flatnonzero(is_mean), np.flatnonzero(is_counted)
        self._mean_counts, self._counts = (
            np.array([cell[count_of(asked[place])] for place in places], np.int64)
            for places in (self._means, self._counted)
        )
        place = {aggregate: number for number, aggregate in enumerate(asked)}
        plain, ratios, balances, recent = [], [], [], []
        for column, feature in enumerate(plan.features):
            match feature.expression:
                case Aggregate() as aggregate:
                    plain.append((column, place[aggregate]))
                case Ratio(top, bottom):
                    ratios.append((column, place[top], place[bottom]))
                case Balance(one, other):
                    balances.append((column, place[one], place[other]))
                case RecentOrder(read, nth):
                    recent.append((column, (nth - 1) * len(_OF_ORDER) + _OF_ORDER.index(read)))
        self._plain, self._recent = _columns(plain, 2), _columns(recent, 2)
        self._ratios, self._balances = _columns(ratios, 3), _columns(balances, 3)

    def read(self, state: State, keys: Keys, as_of_ms: Whole) -> Rows:
        """Return the features of some users, each at its instant.

        Args:
            state: What is known.
            keys: Any key of each; a visitor's reads the user that it became.
            as_of_ms: Instant of each.
        """
        count = len(keys)
        values = np.full((count, len(self._plan.features)), np.nan, np.float32)
        persons, status = np.zeros(count, np.uint64), np.full(count, Status.UNKNOWN, np.uint8)
        rows, slots = state.persons.members(state.find(keys), as_of_ms)
        if len(rows):
            heads, leading = leaders(rows, slots, state.identified_ms, state.keys)
            is_known = state.identified_ms[leading] < as_of_ms[heads]
            known = heads[is_known]
            persons[known] = state.keys[leading[is_known]]
            status[known] = Status.PRESENT
            # Of a user who missed an event not even the first one is sure.
            status[rows[state.is_stale[slots]]] = Status.STALE
        status[as_of_ms < state.settled_ms] = Status.TOO_OLD
        is_read = (persons[rows] != 0) & (status[rows] != Status.TOO_OLD)
        rows, slots = rows[is_read], slots[is_read]
        if len(rows):
            is_head = np.append(True, rows[1:] != rows[:-1])
            wanted, owners = rows[is_head], np.cumsum(is_head) - 1
            values[wanted] = self._values(state, owners, slots, as_of_ms[wanted])
        return Rows(values, persons, status)

    def _values(self, state: State, owners: Whole, slots: Whole, as_of_ms: Whole) -> Floats:
        """Compute features of owners, all of which have a slot, ascending."""
        is_joined = bool((owners[1:] == owners[:-1]).any())
        days = state.days.ceiling(as_of_ms)
        summed, extremes, said = [], [], []
        for reader, arena in zip(self._families, state.families, strict=True):
            found = _gathered(arena, owners, slots, as_of_ms, TIME, int(is_joined))
            parts = reader.read(*found, days)
            summed.append(parts[0])
            extremes.append(parts[1])
            said.append(parts[2])
        starts = np.searchsorted(owners, np.arange(len(as_of_ms)))
        firsts = np.minimum.reduceat(state.first_ms[:, slots], starts, axis=1).T
        products = [
            _different(
                *_gathered(arena, owners, slots, as_of_ms, _FIRST_BOUGHT),
                len(as_of_ms),
                is_joined=is_joined,
            )
            for arena in state.products
        ]
        cells = np.concatenate(
            [*summed, *extremes, *said, firsts, *(each[:, None] for each in products)],
            axis=1,
            dtype=np.float64,
        )
        cells[:, self._is_micros] /= _MILLION
        times, now = cells[:, self._is_time], as_of_ms[:, None]
        cells[:, self._is_time] = np.where(
            (times == 0) | (times >= now), np.nan, (now - times) / _DAY_MS
        )
        values = np.full((len(as_of_ms), len(self._plan.features)), np.nan)
        self._combine(cells, values)
        if len(self._recent[0]):
            keys = len(ORDER_READS) if is_joined else 0
            found = _gathered(state.orders, owners, slots, as_of_ms, TIME, keys)
            recent = _recent(*found, as_of_ms, self._plan.recent_orders)
            values[:, self._recent[0]] = recent[:, self._recent[1]]
        return values

    def _combine(self, cells: Floats, values: Floats) -> None:
        """Write what aggregates say into the columns of their features."""
        read = cells[:, self._read]
        read[:, self._means] = _quotient(read[:, self._means], cells[:, self._mean_counts])
        is_empty = cells[:, self._counts] == 0
        read[:, self._counted] = np.where(is_empty, np.nan, read[:, self._counted])
        column, place = self._plain
        values[:, column] = read[:, place]
        column, top, bottom = self._ratios
        values[:, column] = _quotient(read[:, top], read[:, bottom])
        column, one, other = self._balances
        recent, earlier = read[:, one], read[:, other]
        values[:, column] = _quotient(recent - earlier, recent + earlier)


def _columns(places: Sequence[tuple[int, ...]], width: int) -> Whole:
    return np.array(places, np.int64).reshape(-1, width).T


def _quotient(top: Floats, bottom: Floats) -> Floats:
    """Divide; NaN where the bottom is 0."""
    missing = np.full(top.shape, np.nan)
    quotient: Floats = np.divide(top, bottom, out=missing, where=bottom != 0)
    return quotient


def _gathered(
    arena: Arena, owners: Whole, slots: Whole, as_of_ms: Whole, time: int, keys: int = 0
) -> tuple[Whole, Whole]:
    """Return the rows of each owner before its instant, in the order that a slot has them.

    Args:
        arena: Where they lie.
        owners: Ascending; one that is several keys comes several times.
        slots: Of each owner.
        as_of_ms: Instant of each owner.
        time: Column of the instant.
        keys: By how many columns, from the first on, rows of several slots are put in one order.
    """
    places, lengths = arena.places(slots)
    found, rows = np.repeat(owners, lengths), arena.rows[places]
    is_before: Mask = rows[:, time] < as_of_ms[found]
    if not is_before.all():
        found, rows = found[is_before], rows[is_before]
    if keys:
        is_behind = (found[1:] == found[:-1]) & (rows[1:, time] <= rows[:-1, time])
        is_mixed = np.zeros(len(as_of_ms), np.bool_)
        is_mixed[found[1:][is_behind]] = True
        here = np.flatnonzero(is_mixed[found])
        order = np.lexsort((*rows[here].T[keys - 1 :: -1], found[here]))
        rows[here] = rows[here[order]]
    return found, rows


def _different(owners: Whole, rows: Whole, count: int, *, is_joined: bool) -> Whole:
    """Count the different products of each owner; a slot has each of its products once."""
    if is_joined:
        owners = np.unique(owners << 32 | rows[:, _PRODUCT]) >> 32
    return np.bincount(owners, minlength=count)


def _recent(owners: Whole, rows: Whole, as_of_ms: Whole, places: int) -> Floats:
    """Return for each place what is read of that order, counted from the last; NaN for none."""
    bounds = np.searchsorted(owners, np.arange(len(as_of_ms) + 1))
    at = bounds[1:, None] - 1 - np.arange(places + 1)
    is_there = at >= bounds[:-1, None]
    padded = np.concatenate([rows, np.zeros((1, rows.shape[1]), np.int64)])
    orders = padded[np.where(is_there, at, -1)].astype(np.float64)
    time, gross, items = (np.where(is_there, orders[..., n], np.nan) for n in range(3))
    said = [
        (as_of_ms[:, None] - time[:, :-1]) / _DAY_MS,
        (time[:, :-1] - time[:, 1:]) / _DAY_MS,
        gross[:, :-1] / _MILLION,
        items[:, :-1] / _MILLION,
    ]
    return np.stack(said, axis=2).reshape(len(as_of_ms), -1)
