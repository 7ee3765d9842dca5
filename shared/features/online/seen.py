"""Which message ids arrived, for as long as a duplicate of one can be taken in."""

import numpy as np
import pyarrow as pa

from shared.features.online.outcomes import Keys, Mask

# A fixed multiplier for each byte of an id: a multilinear hash, the same in every process.
_LONGEST = 1_024
_WEIGHTS = np.random.default_rng(20_101).integers(0, 2**64, _LONGEST, np.uint64) | np.uint64(1)

NEVER = -(2**62)
"""Stands for an instant before all others."""


def id_digests(ids: pa.Array) -> Keys:
    """Return 64 bits of each id; of an id longer than 1,024 bytes, its first bytes tell."""
    if len(ids) == 0:
        return np.zeros(0, np.uint64)
    binary = ids.cast(pa.large_binary())
    _, offset_bytes, content = binary.buffers()
    first, last = binary.offset, binary.offset + len(binary)
    offsets = np.frombuffer(offset_bytes, np.int64)[first : last + 1]
    lengths = np.minimum(np.diff(offsets), _LONGEST)
    digests = lengths.astype(np.uint64)
    letters = np.frombuffer(content or b"", np.uint8)
    # Ids of one source are equally long, so few lengths make whole tables of letters.
    for length in np.unique(lengths):
        chosen = np.flatnonzero(lengths == length)
        if length:
            table = letters[offsets[chosen][:, None] + np.arange(length)].astype(np.uint64)
            digests[chosen] += table @ _WEIGHTS[:length]
    return digests ^ (digests >> np.uint64(31))


class SeenIds:
    """Digests of ids in two generations, so that whole ones are forgotten at once.

    Args:
        remembered_ms: How far the watermark has to move before an id may be forgotten.
    """

    def __init__(self, remembered_ms: int) -> None:
        self._remembered_ms = remembered_ms
        self.since_ms = NEVER
        self.young: list[Keys] = []
        self.old: list[Keys] = []

    @property
    def bytes(self) -> int:
        """Memory of the digests."""
        return sum(run.nbytes for run in (*self.young, *self.old))

    def contains(self, digests: Keys) -> Mask:
        """Say of each id whether it arrived before."""
        found = np.zeros(len(digests), np.bool_)
        for run in (*self.young, *self.old):
            if not len(run):
                continue
            places = np.minimum(np.searchsorted(run, digests), len(run) - 1)
            found |= run[places] == digests
        return found

    def add(self, digests: Keys) -> None:
        """Remember new ids; runs are merged geometrically, so n of them cost n log n."""
        if not len(digests):
            return
        run = np.sort(digests)
        while self.young and len(self.young[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self.young.pop(), run]), kind="stable")
        self.young.append(run)

    def turn(self, watermark_ms: int) -> bool:
        """Begin a generation, and forget the one before the last, when it is time."""
        if self.since_ms == NEVER:
            self.since_ms = watermark_ms
        if watermark_ms - self.since_ms <= self._remembered_ms:
            return False
        self.young, self.old = [], self.young
        self.since_ms = watermark_ms
        return True
