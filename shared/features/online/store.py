"""A state on disk, with the offsets it stands for, in one SQLite file."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.features.online.outcomes import Keys, Whole
from shared.features.online.packing import packed, unpack
from shared.features.online.updater import Changes, Updater

_TABLES = """
CREATE TABLE IF NOT EXISTS slot (key INTEGER PRIMARY KEY, state BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS edge (
  one INTEGER, other INTEGER, event_ms INTEGER NOT NULL, PRIMARY KEY (one, other)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS product (number INTEGER PRIMARY KEY, id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS seen (
  number INTEGER PRIMARY KEY, is_young INTEGER NOT NULL, digests BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS following (stream TEXT PRIMARY KEY, offset INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS clock (name TEXT PRIMARY KEY, ms INTEGER NOT NULL);
"""
_ALL = ("slot", "edge", "product", "seen", "following", "clock")


@dataclass(frozen=True)
class Snapshot:
    """What one transaction writes; taken while nothing changes, written while things go on."""

    is_whole: bool
    slots: Sequence[tuple[int, bytes]]
    edges: Sequence[tuple[int, int, int]]
    products: Sequence[tuple[int, str]]
    digests: Sequence[tuple[int, bytes]]
    are_all_digests: bool
    offsets: Sequence[tuple[str, int]]
    clock: Sequence[tuple[str, int]]


def snapshot_of(updater: Updater, *, is_whole: bool) -> Snapshot:
    """Take what changed since the last snapshot, or all there is."""
    state, changes, seen = updater.state, updater.changes, updater.seen
    if is_whole:
        slots = np.arange(len(state.slot_of))
        edges = [(*pair, ms) for pair, ms in state.persons.edges.items()]
    else:
        slots = np.unique(np.concatenate([np.empty(0, np.int64), *changes.slots]))
        edges = changes.edges
    are_all_digests = is_whole or changes.has_turned
    digests = [(1, run) for run in (seen.young if are_all_digests else changes.digests)]
    if are_all_digests:
        digests += [(0, run) for run in seen.old]
    keys = _signed(state.keys)
    found = Snapshot(
        is_whole,
        list(zip(keys[slots].tolist(), packed(state, slots), strict=True)),
        [(int(keys[one]), int(keys[other]), ms) for one, other, ms in edges],
        [(number, name) for name, number in state.product_of.items()][
            0 if is_whole else changes.products_before :
        ],
        [(is_young, run.tobytes()) for is_young, run in digests if len(run)],
        are_all_digests,
        list(updater.offsets.items()),
        [
            ("watermark", updater.watermark_ms),
            ("settled", state.settled_ms),
            ("seen_since", seen.since_ms),
        ],
    )
    updater.changes = Changes(products_before=len(state.product_of))
    return found


class Store:
    """One file; whoever has it open is its only writer.

    Args:
        path: The file; made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, check_same_thread=False)
        # A transaction is whole or not there however the process ends; a machine that loses its
        # power may lose the last ones, state and offsets alike.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_TABLES)

    def write(self, snapshot: Snapshot) -> None:
        """Write a snapshot and its offsets, all of it or nothing."""
        with self._connection as connection:
            if snapshot.is_whole:
                for table in _ALL:
                    connection.execute(f"DELETE FROM {table}")
            elif snapshot.are_all_digests:
                connection.execute("DELETE FROM seen")
            connection.executemany("REPLACE INTO slot VALUES (?, ?)", snapshot.slots)
            connection.executemany("REPLACE INTO edge VALUES (?, ?, ?)", snapshot.edges)
            connection.executemany("REPLACE INTO product VALUES (?, ?)", snapshot.products)
            connection.executemany(
                "INSERT INTO seen (is_young, digests) VALUES (?, ?)", snapshot.digests
            )
            connection.executemany("REPLACE INTO following VALUES (?, ?)", snapshot.offsets)
            connection.executemany("REPLACE INTO clock VALUES (?, ?)", snapshot.clock)

    def read(self, updater: Updater) -> None:
        """Give a fresh updater what the last snapshot holds."""
        clock = dict(self._rows("SELECT name, ms FROM clock"))
        if not clock:
            return
        state = updater.state
        rows = list(self._rows("SELECT key, state FROM slot ORDER BY rowid"))
        slots = state.slots(_unsigned([key for key, _ in rows]))
        unpack(state, slots, [blob for _, blob in rows])
        edges = np.array(
            list(self._rows("SELECT one, other, event_ms FROM edge")), np.int64
        ).reshape(-1, 3)
        one, other = (state.slots(_unsigned(edges[:, side])) for side in (0, 1))
        list(state.persons.join(one, other, edges[:, 2]))
        products = self._rows("SELECT number, id FROM product ORDER BY number")
        state.product_of = {name: number for number, name in products}
        for is_young, runs in ((1, updater.seen.young), (0, updater.seen.old)):
            blobs = [
                blob
                for (blob,) in self._rows(f"SELECT digests FROM seen WHERE is_young = {is_young}")
            ]
            runs.append(np.sort(np.frombuffer(b"".join(blobs), np.uint64)))
        updater.seen.since_ms = clock["seen_since"]
        updater.watermark_ms = clock["watermark"]
        state.settle(clock["settled"])
        updater.offsets = dict(self._rows("SELECT stream, offset FROM following"))
        updater.changes = Changes(products_before=len(state.product_of))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _rows(self, sql: str) -> Iterator[Any]:
        with closing(self._connection.execute(sql)) as cursor:
            yield from cursor


def _signed(keys: Keys) -> Whole:
    return keys.view(np.int64)


def _unsigned(keys: Sequence[int] | Whole) -> Keys:
    return np.asarray(keys, np.int64).view(np.uint64)
