"""The state of slots as bytes, and back."""

from collections.abc import Iterator

import numpy as np

from shared.features.online.outcomes import Whole
from shared.features.online.state import State

_IDENTIFIED, _STALE, _FIRSTS = 0, 1, 2


def packed(state: State, slots: Whole) -> Iterator[bytes]:
    """Yield the bytes of each slot: its instants, how many rows of each kind, and the rows."""
    runs = [arena.places(slots) for arena in state.arenas]
    header = np.stack(
        [
            state.identified_ms[slots],
            state.is_stale[slots].astype(np.int64),
            *state.first_ms[:, slots],
            *(lengths for _, lengths in runs),
        ],
        axis=1,
    )
    width = header.shape[1]
    words = [
        lengths * arena.rows.shape[1]
        for arena, (_, lengths) in zip(state.arenas, runs, strict=True)
    ]
    sizes = sum(words, np.full(len(slots), width, np.int64))
    ends = np.cumsum(sizes)
    starts = ends - sizes
    flat = np.empty(int(ends[-1]) if len(ends) else 0, np.int64)
    flat[starts[:, None] + np.arange(width)] = header
    at = starts + width
    for arena, (places, _), size in zip(state.arenas, runs, words, strict=True):
        flat[_spread(at, size)] = arena.rows[places].ravel()
        at = at + size
    return (flat[start:end].tobytes() for start, end in zip(starts, ends, strict=True))


def unpack(state: State, slots: Whole, blobs: list[bytes]) -> None:
    """Give fresh slots what was packed of them."""
    if not blobs:
        return
    flat = np.frombuffer(b"".join(blobs), np.int64)
    starts = np.cumsum([0, *(len(blob) // 8 for blob in blobs[:-1])])
    count = len(state.first_ms)
    state.identified_ms[slots] = flat[starts + _IDENTIFIED]
    state.is_stale[slots] = flat[starts + _STALE] != 0
    state.first_ms[:, slots] = flat[starts + _FIRSTS + np.arange(count)[:, None]]
    at = starts + _FIRSTS + count + len(state.arenas)
    for number, arena in enumerate(state.arenas):
        lengths = flat[starts + _FIRSTS + count + number]
        size = lengths * arena.rows.shape[1]
        arena.put(slots, lengths, flat[_spread(at, size)].reshape(-1, arena.rows.shape[1]))
        at = at + size


def _spread(starts: Whole, sizes: Whole) -> Whole:
    """Return the places of runs that begin at some starts, one after another."""
    ends = np.cumsum(sizes)
    return np.repeat(starts - ends + sizes, sizes) + np.arange(int(ends[-1]) if len(ends) else 0)
