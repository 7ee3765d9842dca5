"""Counts in windows of a family of which only counts are asked, such as page views.

Between them the windows of all instants cut time into slots; one count for each user and slot, and
then a sum up to each slot, gives every window as a difference of two numbers. A family with many
events so costs one number for each slot and not one for each event.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from shared.features.algebra import Aggregate
from shared.features.calendar import Spine


@dataclass(frozen=True)
class Slots:
    """Days at which a window of an instant begins or ends, ascending."""

    edges: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many slots the edges part."""
        return len(self.edges) + 1

    @property
    def of_day(self) -> str:
        """The slot of a row, looked up by its day."""
        first, last = self.edges[0] - 1, self.edges[-1]
        table = ", ".join(str(bisect_right(self.edges, day)) for day in range(first, last + 1))
        place = f"greatest(least(toInt32(day), {last}) - {first - 1}, 1)"
        return f"toUInt16([{table}][{place}])"

    def before(self, sums: str, day: int) -> str:
        """The count of events before an edge, out of the sums up to each slot."""
        return f"{sums}[{bisect_left(self.edges, day) + 1}]"


def slots_of(aggregates: Sequence[Aggregate], spine: Spine) -> Slots:
    """Cut time at the edges of the windows of some counts."""
    edges = {
        instant.day - ago
        for instant in spine.instants
        for aggregate in aggregates
        for ago in (aggregate.window.start, aggregate.window.end)
        if ago is not None
    }
    return Slots(tuple(sorted(edges)))


def cell(slots: Slots, aggregate: Aggregate, sums: str, day: int) -> str:
    """Write the count of one window at the instant of a day."""
    window = aggregate.window
    high = slots.before(sums, day - window.end)
    low = "0" if window.start is None else slots.before(sums, day - window.start)
    return f"toInt64({high} - {low})"
