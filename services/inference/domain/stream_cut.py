"""Where a slice of events is cut, so that a prediction reads only what had arrived before it."""

import numpy as np
from numpy.typing import NDArray

from services.inference.domain.prediction import Keys

Instants = NDArray[np.int64]


def cuts(
    user_keys: Keys,
    anonymous_keys: Keys,
    times_ms: Instants,
    known_ms: Instants,
    *,
    watermark_ms: int,
    lateness_ms: int,
    span_ms: int,
) -> list[int]:
    """Return where blocks of a slice end, each of which can be taken in whole and then read.

    Features are read as of the instant after an event. Within a block each further event of a user
    is later than those before, so that this instant parts what had arrived from what had not. And a
    block spans little time, so that its first instant can still be read once its last is taken in.

    Args:
        user_keys: 0 where no user is named.
        anonymous_keys: 0 where no visitor is named.
        times_ms: When each event happened, in the order of arrival.
        known_ms: When each arrived; an event from the future moves the newest instant no further.
        watermark_ms: Newest instant before the slice.
        lateness_ms: Events older than the newest by more are not read.
        span_ms: Longest time of a block.

    >>> user = np.array([1, 1, 1], np.uint64)
    >>> nobody = np.zeros(3, np.uint64)
    >>> times = np.array([5, 9, 7])
    >>> cuts(user, nobody, times, times, watermark_ms=0, lateness_ms=9, span_ms=9)
    [2, 3]
    """
    ends: list[int] = []
    newest: dict[int, int] = {}
    mark = watermark_ms
    oldest: int | None = None
    clocks_ms = np.minimum(times_ms, known_ms)
    columns = zip(
        *(each.tolist() for each in (user_keys, anonymous_keys, times_ms, clocks_ms)), strict=True
    )
    for place, (user, visitor, time_ms, clock_ms) in enumerate(columns):
        is_late = time_ms < mark - lateness_ms
        mark = max(mark, clock_ms)
        if is_late:
            continue
        first = time_ms if oldest is None else min(oldest, time_ms)
        is_earlier = any(key and newest.get(key, -1) >= time_ms for key in (user, visitor))
        if oldest is not None and (is_earlier or mark - first > span_ms):
            ends.append(place)
            newest.clear()
            first = time_ms
        oldest = first
        for key in (user, visitor):
            if key:
                newest[key] = time_ms
    if len(times_ms):
        ends.append(len(times_ms))
    return ends
