"""Days of a zone for whole arrays of instants."""

from zoneinfo import ZoneInfo

import numpy as np

from shared.features.calendar import day_start, milliseconds
from shared.features.online.outcomes import Whole

_DAY_MS = 86_400_000
_LAST = 65_535
_MARGIN = 400


class LocalDays:
    """The days of a zone, looked up in a table of their starts that grows as it is asked.

    >>> days = LocalDays("Europe/London")
    >>> days.of(np.array([days.start(15137) - 1, days.start(15137)])).tolist()
    [15136, 15137]
    >>> days.ceiling(np.array([days.start(15137), days.start(15137) + 1])).tolist()
    [15137, 15138]
    """

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._first = 0
        self._starts = np.empty(0, np.int64)

    def of(self, times_ms: Whole) -> Whole:
        """Return the day of each instant; the calendar ends where the warehouse's does, in 2149."""
        if len(times_ms) == 0:
            return np.empty(0, np.int64)
        guess = np.clip([times_ms.min() // _DAY_MS, times_ms.max() // _DAY_MS], 0, _LAST)
        self._cover(int(guess[0]), int(guess[1]))
        places = np.searchsorted(self._starts, times_ms, "right") - 1 + self._first
        return np.clip(places, 0, _LAST)

    def ceiling(self, times_ms: Whole) -> Whole:
        """Return for each instant the first day that has not begun before it."""
        return self.of(times_ms - 1) + 1

    def start(self, day: int) -> int:
        """Return the first instant of a day."""
        return milliseconds(day_start(day, self._zone))

    def _cover(self, low: int, high: int) -> None:
        first, last = self._first, self._first + len(self._starts) - 1
        if len(self._starts):
            if max(low - 1, 0) >= first and min(high + 1, _LAST) <= last:
                return
            low, high = min(low, first), max(high, last)
        self._first = max(low - _MARGIN, 0)
        days = range(self._first, min(high + _MARGIN, _LAST) + 1)
        self._starts = np.array([self.start(day) for day in days], np.int64)
