"""Identity of rows: equal rows of one source get the same ids, in the order they come."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

Words = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

_PART = "\x1f"


def row_digests(source: str, texts: pa.Array) -> Words:
    """Return xxh3_128 of (source, text) for each row, as two little-endian words a row."""
    state = xxhash.xxh3_128((source + _PART).encode())
    prefix = state.intdigest()
    return _digests(texts, prefix & 0xFFFF_FFFF_FFFF_FFFF)


def text_digests(texts: pa.Array) -> Words:
    """Return xxh3_128 of each text, as two little-endian words a row."""
    return _digests(texts, 0)


def text_keys(texts: pa.Array) -> Words:
    """Return 128 bits for each text that ClickHouse can compute too: xxh3 and xxHash64."""
    items = texts.cast(pa.binary()).to_pylist()
    count = len(items)
    high = np.fromiter(map(xxhash.xxh3_64_intdigest, items), np.uint64, count)
    low = np.fromiter(map(xxhash.xxh64_intdigest, items), np.uint64, count)
    return np.stack([high, low], axis=1)


def nth_digests(digests: Words, occurrences: npt.NDArray[np.int64]) -> Words:
    """Return the digests with the later occurrences among equals told apart.

    The first occurrence keeps its digest, so that ids do not depend on what follows.
    """
    later = np.flatnonzero(occurrences)
    if not later.size:
        return digests
    told_apart = digests.copy()
    for place in later.tolist():
        text = digests[place].tobytes() + str(occurrences[place]).encode()
        told_apart[place] = np.frombuffer(xxhash.xxh3_128_digest(text), dtype="<u8")
    return told_apart


def hex_ids(digests: Words) -> pa.Array:
    """Return each digest as 32 hexadecimal letters.

    >>> hex_ids(text_digests(pa.array(["a"])))[0].as_py() == xxhash.xxh3_128_hexdigest(b"a")
    True
    """
    letters = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    raw = np.ascontiguousarray(digests, dtype="<u8").view(np.uint8).reshape(-1, 16)
    text = np.empty((len(raw), 32), dtype=np.uint8)
    text[:, 0::2], text[:, 1::2] = letters[raw >> 4], letters[raw & 15]
    offsets = np.arange(0, 32 * (len(raw) + 1), 32, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text.tobytes())]
    return pa.Array.from_buffers(pa.string(), len(raw), buffers)


def joined_digest(parts: Iterable[bytes]) -> str:
    """Return the hexadecimal id of a whole made of parts, in their order."""
    return xxhash.xxh3_128_hexdigest(b"".join(parts))


def occurrences_within(digests: Words) -> npt.NDArray[np.int64]:
    """Return for each row how many equal rows stand before it.

    >>> occurrences_within(text_digests(pa.array(["a", "b", "a"]))).tolist()
    [0, 0, 1]
    """
    ordered = np.sort(digests[:, 0])
    if not (ordered[1:] == ordered[:-1]).any():
        return np.zeros(len(digests), dtype=np.int64)
    order = np.argsort(digests[:, 0], kind="stable")  # several times slower than sorting
    ordered = digests[order, 0]
    is_start = np.ones(len(ordered), dtype=np.bool_)
    is_start[1:] = ordered[1:] != ordered[:-1]
    starts = np.maximum.accumulate(np.where(is_start, np.arange(len(ordered)), 0))
    counts = np.empty(len(ordered), dtype=np.int64)
    counts[order] = np.arange(len(ordered)) - starts
    return counts


def _digests(texts: pa.Array, seed: int) -> Words:
    items = texts.cast(pa.binary()).to_pylist()
    if seed:
        raw = b"".join(xxhash.xxh3_128_digest(item, seed) for item in items)
    else:
        raw = b"".join(map(xxhash.xxh3_128_digest, items))
    return np.frombuffer(raw, dtype="<u8").reshape(-1, 2)
