"""Short runs of rows for many slots, in one growing array."""

from collections import defaultdict

import numpy as np

from shared.features.online.outcomes import Mask, Whole

# Room of a run: two sizes an octave, so that at most a third of it lies idle.
_ROOMS = np.unique([size << shift for shift in range(31) for size in (2, 3)] + [1])


class Arena:
    """For each slot a run of rows of whole numbers.

    Room that a run has outgrown is given to the next run of that size.

    Attributes:
        rows: All rows; a run is contiguous.
    """

    def __init__(self, width: int) -> None:
        self.rows = np.zeros((64, width), np.int64)
        self._start = np.zeros(0, np.int64)
        self._length = np.zeros(0, np.int64)
        self._room = np.zeros(0, np.int64)
        self._end = 0
        self._free: dict[int, list[int]] = defaultdict(list)

    @property
    def bytes(self) -> int:
        """Memory of the runs with their room, and of where they lie."""
        return self._end * self.rows.shape[1] * 8 + len(self._start) * 24

    def resize(self, slots: int) -> None:
        """Make room to say of so many slots where their runs lie."""
        if slots > len(self._start):
            more = max(slots, 2 * len(self._start)) - len(self._start)
            self._start, self._length, self._room = (
                np.concatenate([each, np.zeros(more, np.int64)])
                for each in (self._start, self._length, self._room)
            )

    def places(self, slots: Whole) -> tuple[Whole, Whole]:
        """Return which rows the slots have, one run after another, and how many each has."""
        lengths = self._length[slots]
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        return np.repeat(self._start[slots] - ends + lengths, lengths) + np.arange(total), lengths

    def accepts(self, slots: Whole, counts: Whole, values: Whole, column: int) -> Mask:
        """Say which slots have room for more rows whose first value is above their last.

        Args:
            slots: Which.
            counts: How many more rows.
            values: Of the first of them.
            column: In which column.
        """
        lengths = self._length[slots]
        has_room = (lengths > 0) & (lengths + counts <= self._room[slots])
        last = self.rows[self._start[slots] + np.maximum(lengths - 1, 0), column]
        is_accepted: Mask = has_room & (values > last)
        return is_accepted

    def extend(self, slots: Whole, counts: Whole, rows: Whole) -> None:
        """Add rows to the runs of different slots that accept them, one run after another."""
        ends = np.cumsum(counts)
        starts = self._start[slots] + self._length[slots] - ends + counts
        self.rows[np.repeat(starts, counts) + np.arange(len(rows))] = rows
        self._length[slots] += counts

    def put(self, slots: Whole, lengths: Whole, rows: Whole) -> None:
        """Replace the runs of different slots.

        Args:
            slots: Which.
            lengths: How many rows each has now.
            rows: These rows, one run after another.
        """
        tight = lengths > self._room[slots]
        if tight.any():
            self._move(slots[tight], lengths[tight])
        self._length[slots] = lengths
        places, _ = self.places(slots)
        self.rows[places] = rows

    def _move(self, slots: Whole, lengths: Whole) -> None:
        for start, room in zip(self._start[slots], self._room[slots], strict=True):
            if room:
                self._free[int(room)].append(int(start))
        rooms = _ROOMS[np.searchsorted(_ROOMS, lengths)]
        starts = np.empty(len(slots), np.int64)
        for room in np.unique(rooms):
            wanted = np.flatnonzero(rooms == room)
            free = self._free[int(room)]
            reused = [free.pop() for _ in range(min(len(free), len(wanted)))]
            starts[wanted[: len(reused)]] = reused
            fresh = wanted[len(reused) :]
            starts[fresh] = self._end + np.arange(len(fresh)) * room
            self._end += len(fresh) * int(room)
        if self._end > len(self.rows):
            grown = np.zeros((max(self._end, 2 * len(self.rows)), self.rows.shape[1]), np.int64)
            grown[: len(self.rows)] = self.rows
            self.rows = grown
        self._start[slots], self._room[slots] = starts, rooms
