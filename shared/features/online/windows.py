"""Reads the windows of a family for many users at once."""

from collections.abc import Sequence

import numpy as np

from shared.features.algebra import Aggregate, Events, Function, Statistic
from shared.features.layers import Measure
from shared.features.online.block import NO_TIME
from shared.features.online.outcomes import Floats, Whole
from shared.features.online.plan import DAY, FamilyPlan

_DAYS = 1 << 20
"""More than any day, so that an owner and a day are one number."""

_FIRST, _END, _AGO = 0, 1, 2


class Edges:
    """Between which rows of its owner each aggregate's window lies.

    Args:
        aggregates: Whose windows.
    """

    def __init__(self, aggregates: Sequence[Aggregate]) -> None:
        windows = [each.window for each in aggregates]
        agos = sorted({ago for each in windows for ago in (each.start, each.end) if ago})
        self._agos = np.array(agos, np.int64)
        self.low = np.array(
            [_FIRST if each.start is None else _AGO + agos.index(each.start) for each in windows],
            np.int64,
        )
        self.high = np.array(
            [_END if each.end == 0 else _AGO + agos.index(each.end) for each in windows], np.int64
        )

    def positions(self, owners: Whole, days: Whole, as_of_days: Whole) -> Whole:
        """Return the place among the rows of every edge that a window has.

        Args:
            owners: Of each row, ascending.
            days: Of each row, ascending for each owner, none as late as its as_of.
            as_of_days: Day of the instant of each owner.
        """
        count = len(as_of_days)
        found = np.empty((count, _AGO + len(self._agos)), np.int64)
        bounds = np.searchsorted(owners, np.arange(count + 1))
        found[:, _FIRST], found[:, _END] = bounds[:-1], bounds[1:]
        if len(self._agos):
            wanted = np.maximum(as_of_days[:, None] - self._agos, 0)
            wanted += np.arange(count)[:, None] * _DAYS
            found[:, _AGO:] = np.searchsorted(owners * _DAYS + days, wanted)
        return found


class FamilyReader:
    """Answers what is asked of one family.

    Args:
        plan: What is kept of it and asked.
    """

    def __init__(self, plan: FamilyPlan) -> None:
        self._plan = plan
        self._edges = Edges((*plan.summed, *plan.extremes))
        count = len(plan.summed)
        self._low, self._high = self._edges.low[:count], self._edges.high[:count]
        self._extremes = [
            (place, plan.column(each), each.function in (Function.FIRST, Function.MIN), low, high)
            for place, (each, low, high) in enumerate(
                zip(plan.extremes, self._edges.low[count:], self._edges.high[count:], strict=True)
            )
        ]
        self._columns = np.array([plan.column(each) for each in plan.summed], np.int64) - 2
        self._day_edges, self._of_windows = {}, {}
        for events in dict.fromkeys(each.events for each in plan.of_days):
            used = [each for each in plan.of_days if each.events is events]
            self._day_edges[events] = Edges(used)
            self._of_windows[events] = _by_window(used, self._day_edges[events], plan.of_days)

    def read(self, owners: Whole, rows: Whole, as_of_days: Whole) -> tuple[Whole, Whole, Floats]:
        """Return what is summed, the extremes, and what is said of days, one row an owner.

        Args:
            owners: Of each row, ascending.
            rows: Ascending in time for each owner, all before its as_of.
            as_of_days: Day of the instant of each owner.
        """
        edges = self._edges.positions(owners, rows[:, DAY], as_of_days)
        sums = np.zeros((len(rows) + 1, len(self._plan.sums)), np.int64)
        np.cumsum(rows[:, self._plan.sum_columns], axis=0, out=sums[1:])
        at_edges = sums[edges]
        summed = at_edges[:, self._high, self._columns] - at_edges[:, self._low, self._columns]
        extremes = np.empty((len(as_of_days), len(self._plan.extremes)), np.int64)
        for place, column, is_least, low, high in self._extremes:
            reduce = _least if is_least else greatest
            extremes[:, place] = reduce(rows[:, column], edges[:, low], edges[:, high])
        said = np.empty((len(as_of_days), len(self._plan.of_days)), np.float64)
        for events in self._of_windows:
            self._say_of_days(events, owners, rows, as_of_days, said)
        return summed, extremes, said

    def _say_of_days(
        self, events: Events, owners: Whole, rows: Whole, as_of_days: Whole, said: Floats
    ) -> None:
        column = 2 + self._plan.sums.index(Measure(events, None))
        matching = np.flatnonzero(rows[:, column] > 0)
        owners, days = owners[matching], rows[matching, DAY]
        is_new = np.ones(len(days), np.bool_)
        is_new[1:] = (owners[1:] != owners[:-1]) | (days[1:] != days[:-1])
        owners, days = owners[is_new], days[is_new]
        positions = self._day_edges[events].positions(owners, days, as_of_days)
        for low, high, counted, wanted in self._of_windows[events]:
            first, end = positions[:, low], positions[:, high]
            said[:, counted] = (end - first)[:, None]
            if wanted:
                said[:, [column for _, column in wanted]] = gaps(
                    [statistic for statistic, _ in wanted], days, first, end
                )


def _by_window(
    used: Sequence[Aggregate], edges: Edges, of_days: Sequence[Aggregate]
) -> list[tuple[int, int, list[int], list[tuple[Statistic, int]]]]:
    """Return for each window its edges, the columns of its counts, and those of its steps."""
    windows: dict[tuple[int, int], list[Aggregate]] = {}
    for each, low, high in zip(used, edges.low.tolist(), edges.high.tolist(), strict=True):
        windows.setdefault((low, high), []).append(each)
    return [
        (
            low,
            high,
            [of_days.index(each) for each in asked if each.statistic is None],
            [(each.statistic, of_days.index(each)) for each in asked if each.statistic],
        )
        for (low, high), asked in windows.items()
    ]


def gaps(statistics: Sequence[Statistic], days: Whole, low: Whole, high: Whole) -> Floats:
    """Return statistics of the steps between days; NaN where there are too few.

    Args:
        statistics: Which, one column each.
        days: Ascending from each low to each high.
        low: First day of each run.
        high: The day after the last of each run.
    """
    said = np.full((len(low), len(statistics)), np.nan)
    (enough,) = (high - low >= 2).nonzero()
    if not len(enough):
        return said
    low, high = low[enough], high[enough]
    count = high - low - 1
    mean = (days[high - 1] - days[low]) / count
    steps = np.diff(days, prepend=days[:1])
    for column, statistic in enumerate(statistics):
        match statistic:
            case Statistic.MEAN:
                said[enough, column] = mean
            case Statistic.LAST:
                said[enough, column] = steps[high - 1]
            case Statistic.MAX:
                said[enough, column] = greatest(steps, low + 1, high)
            case Statistic.STD:
                squares = np.concatenate([[0], (steps * steps).cumsum()])
                square = (squares[high] - squares[low + 1]) / count
                spread = np.sqrt(np.maximum(square - mean * mean, 0.0))
                said[enough, column] = np.where(count < 2, np.nan, spread)
    return said


def greatest(values: Whole, low: Whole, high: Whole, otherwise: int = 0) -> Whole:
    """Return the greatest value from each low to each high, where there is one."""
    found = np.full(len(low), otherwise, np.int64)
    filled = np.flatnonzero(high > low)
    if len(filled):
        ends = np.stack([low[filled], high[filled]], axis=1).ravel()
        found[filled] = np.maximum.reduceat(np.append(values, 0), ends)[::2]
    return found


def _least(values: Whole, low: Whole, high: Whole) -> Whole:
    found = -greatest(-values, low, high, -NO_TIME)
    return np.where(found == NO_TIME, 0, found)
