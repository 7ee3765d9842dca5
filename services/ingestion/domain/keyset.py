"""A growing set of 128-bit keys, in 16 bytes each."""

import numpy as np
import numpy.typing as npt

from services.ingestion.domain.identity import Mask, Words

_Run = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]


class KeySet:
    """Keys seen so far; additions are merged geometrically, so n of them cost n log n."""

    def __init__(self, keys: Words | None = None) -> None:
        self._runs: list[_Run] = []
        if keys is not None:
            self.add(keys)

    def __len__(self) -> int:
        return sum(len(high) for high, _ in self._runs)

    def add(self, keys: Words) -> None:
        """Remember keys, equal ones as often as given."""
        if not len(keys):
            return
        run = _ordered(keys[:, 0], keys[:, 1])
        while self._runs and len(self._runs[-1][0]) <= 2 * len(run[0]):
            last = self._runs.pop()
            run = _ordered(np.concatenate([last[0], run[0]]), np.concatenate([last[1], run[1]]))
        self._runs.append(run)

    def contains(self, keys: Words) -> Mask:
        """Say of each key whether it was added before."""
        # Needles in order walk through memory once; at random each would miss the cache.
        order = np.argsort(keys[:, 0])
        high, low = keys[order, 0], keys[order, 1]
        found: Mask = np.zeros(len(keys), dtype=np.bool_)
        for run_high, run_low in self._runs:
            places = np.minimum(np.searchsorted(run_high, high), len(run_high) - 1)
            found[order] |= (run_high[places] == high) & (run_low[places] == low)
        return found

    def counts(self, keys: Words) -> npt.NDArray[np.int64]:
        """Return how often each key was added before."""
        counts = np.zeros(len(keys), dtype=np.int64)
        for high, _ in self._runs:
            first = np.searchsorted(high, keys[:, 0], side="left")
            counts += np.searchsorted(high, keys[:, 0], side="right") - first
        return counts


def _ordered(high: npt.NDArray[np.uint64], low: npt.NDArray[np.uint64]) -> _Run:
    order = np.argsort(high)
    return high[order], low[order]
