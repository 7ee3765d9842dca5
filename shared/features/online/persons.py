"""Who is one person at an instant, from edges that come one by one."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shared.features.online.outcomes import Keys, Whole

# What an edge between two slots takes in CPython 3.11, by tracemalloc.
_EDGE_BYTES = 580


@dataclass
class _Joined:
    """Slots that edges join, sooner or later.

    Attributes:
        last_ms: When the last of the edges happened; after it all slots are one person.
    """

    slots: Whole
    edges: list[tuple[int, int, int]]
    last_ms: int

    def at(self, slot: int, before_ms: int) -> Whole:
        """Return the slots that edges before an instant join to one of them."""
        if before_ms > self.last_ms:
            return self.slots
        near: dict[int, list[int]] = defaultdict(list)
        for event_ms, one, other in self.edges:
            if event_ms < before_ms:
                near[one].append(other)
                near[other].append(one)
        found, fresh = {slot}, [slot]
        while fresh:
            for each in near[fresh.pop()]:
                if each not in found:
                    found.add(each)
                    fresh.append(each)
        return np.array(sorted(found))


class Persons:
    """Edges between slots, each pair at its first event.

    The state of a slot stays where it is when two of them turn out to be one person: an edge has
    its own instant, may come late, and must not show in what is read as of an instant before it.
    """

    def __init__(self) -> None:
        self.edges: dict[tuple[int, int], int] = {}
        self._group = np.full(0, -1, np.int64)
        self._groups: list[_Joined] = []

    @property
    def bytes(self) -> int:
        """Memory of the edges."""
        return len(self.edges) * _EDGE_BYTES + self._group.nbytes

    def resize(self, slots: int) -> None:
        """Make room for so many slots."""
        if slots > len(self._group):
            more = max(slots, 2 * len(self._group)) - len(self._group)
            self._group = np.concatenate([self._group, np.full(more, -1, np.int64)])

    def join(self, one: Whole, other: Whole, event_ms: Whole) -> Iterator[tuple[int, int, int]]:
        """Take edges in; yield those that say something new."""
        for a, b, ms in zip(one.tolist(), other.tolist(), event_ms.tolist(), strict=True):
            pair = (min(a, b), max(a, b))
            known = self.edges.get(pair)
            if a == b or (known is not None and known <= ms):
                continue
            self.edges[pair] = ms
            self._add(*pair, ms)
            yield (*pair, ms)

    def _add(self, one: int, other: int, ms: int) -> None:
        groups = [int(self._group[slot]) for slot in (one, other)]
        joined = [
            self._groups[group] if group >= 0 else _Joined(np.array([slot]), [], ms)
            for group, slot in zip(groups, (one, other), strict=True)
        ]
        if groups[0] >= 0 and groups[0] == groups[1]:
            whole = joined[0]
            # An edge that is known from an earlier event on is there twice otherwise.
            whole.edges = [each for each in whole.edges if each[1:] != (one, other)]
            whole.edges.append((ms, one, other))
        else:
            large, small = sorted(range(2), key=lambda i: -len(joined[i].slots))
            whole = joined[large]
            whole.slots = np.union1d(whole.slots, joined[small].slots)
            whole.edges += [*joined[small].edges, (ms, one, other)]
            if groups[large] < 0:
                groups[large] = len(self._groups)
                self._groups.append(whole)
            self._group[whole.slots] = groups[large]
        whole.last_ms = max(each[0] for each in whole.edges)

    def members(self, slots: Whole, as_of_ms: Whole) -> tuple[Whole, Whole]:
        """Return who is one person with each slot at its instant.

        Args:
            slots: One for each row; -1 has no members.
            as_of_ms: Edges before it count.

        Returns:
            The row of each member, ascending, and the slot of each.
        """
        if not self.edges:
            rows = np.flatnonzero(slots >= 0)
            return rows, slots[rows]
        groups = np.where(slots >= 0, self._group[slots], -1)
        joined = np.flatnonzero(groups >= 0)
        found = [
            self._groups[group].at(slot, before)
            for group, slot, before in zip(
                groups[joined].tolist(),
                slots[joined].tolist(),
                as_of_ms[joined].tolist(),
                strict=True,
            )
        ]
        counts = (slots >= 0).astype(np.int64)
        counts[joined] = [len(each) for each in found]
        rows = np.repeat(np.arange(len(slots)), counts)
        members = np.repeat(slots, counts)
        is_joined = np.zeros(len(slots), np.bool_)
        is_joined[joined] = True
        members[is_joined[rows]] = np.concatenate([np.empty(0, np.int64), *found])
        return rows, members


def leaders(rows: Whole, slots: Whole, first_ms: Whole, keys: Keys) -> tuple[Whole, Whole]:
    """Return the rows that have members, and the slot under whose key each person goes.

    It is the user identified first, and of several the one with the smaller key.

    Args:
        rows: Row of each member, ascending.
        slots: Slot of each member.
        first_ms: When each slot was first identified.
        keys: Key of each slot.
    """
    is_head = np.ones(len(rows), np.bool_)
    is_head[1:] = rows[1:] != rows[:-1]
    if is_head.all():
        return rows, slots
    order = np.lexsort((keys[slots], first_ms[slots], rows))
    return rows[is_head], slots[order][is_head]
