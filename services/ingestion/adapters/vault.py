"""The vault: one SQLite file beside the warehouse."""

import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from services.ingestion.usecases.ports import Layout, Letter
from shared.errors import FailedPreconditionError

_TABLES = """
CREATE TABLE IF NOT EXISTS users (user_key INTEGER PRIMARY KEY, source_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS layouts (layout_id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS letters (
    rejection_id TEXT PRIMARY KEY, layout_id INTEGER NOT NULL, payload BLOB NOT NULL
) WITHOUT ROWID;
"""
_MOST_REMEMBERED = 2_000_000
_VARIABLES = 30_000  # fewer than SQLite's limit for one statement


class SqliteVault:
    """A `Vault` in one file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_TABLES)
        self._known: set[int] = set()

    def remember(self, keys: Sequence[int], source_ids: Sequence[str]) -> None:
        """See `Vault.remember`."""
        pairs = zip(_signed(keys), source_ids, strict=True)
        with self._lock:
            known = self._known
            fresh = sorted(pair for pair in pairs if pair[0] not in known)  # as the table lies
            if self._write("INSERT OR IGNORE INTO users VALUES (?, ?)", fresh) == len(fresh):
                held = {}
            else:
                held = self._select("SELECT user_key, source_id FROM users", [k for k, _ in fresh])
            if any(held.get(key, text) != text for key, text in fresh):
                raise FailedPreconditionError(
                    "two ids of users have the same pseudonym; set up a workspace with another "
                    "pseudonym key and import again",
                    reason="PSEUDONYM_COLLISION",
                )
            if len(self._known) > _MOST_REMEMBERED:
                self._known.clear()
            self._known.update(key for key, _ in fresh)

    def source_ids(self, keys: Sequence[int]) -> list[str]:
        """See `Vault.source_ids`."""
        signed = _signed(keys)
        with self._lock:
            held = self._select("SELECT user_key, source_id FROM users", signed)
        return [held.get(key, "") for key in signed]

    def keep(self, letters: Sequence[Letter]) -> None:
        """See `Vault.keep`."""
        with self._lock:
            layouts = {layout: self._layout_id(layout) for layout in {x.layout for x in letters}}
            rows = [(x.rejection_id, layouts[x.layout], x.payload) for x in letters]
            self._write("INSERT OR IGNORE INTO letters VALUES (?, ?, ?)", rows)

    def letters(self, rejection_ids: Sequence[str]) -> Mapping[str, Letter]:
        """See `Vault.letters`."""
        found = {}
        with self._lock:
            layouts = {
                number: _layout(text)
                for number, text in self._database.execute("SELECT layout_id, text FROM layouts")
            }
            for start in range(0, len(rejection_ids), _VARIABLES):
                part = rejection_ids[start : start + _VARIABLES]
                marks = ",".join("?" * len(part))
                sql = f"SELECT * FROM letters WHERE rejection_id IN ({marks})"
                for rejection_id, layout_id, payload in self._database.execute(sql, part):
                    found[rejection_id] = Letter(rejection_id, payload, layouts[layout_id])
        return found

    def close(self) -> None:
        """See `Vault.close`."""
        with self._lock:
            self._database.close()

    def _layout_id(self, layout: Layout) -> int:
        text = json.dumps(vars(layout), sort_keys=True)
        self._database.execute("INSERT OR IGNORE INTO layouts (text) VALUES (?)", (text,))
        sql = "SELECT layout_id FROM layouts WHERE text = ?"
        return int(self._database.execute(sql, (text,)).fetchone()[0])

    def _write(self, sql: str, rows: Sequence[tuple[object, ...]]) -> int:
        if not rows:
            return 0
        before = self._database.total_changes
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany(sql, rows)
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
        return self._database.total_changes - before

    def _select(self, sql: str, keys: Sequence[int]) -> dict[int, str]:
        held: dict[int, str] = {}
        for start in range(0, len(keys), _VARIABLES):
            part = keys[start : start + _VARIABLES]
            marks = ",".join("?" * len(part))
            held.update(self._database.execute(f"{sql} WHERE user_key IN ({marks})", part))
        return held


def _layout(text: str) -> Layout:
    values = json.loads(text)
    return Layout(**{**values, "columns": tuple(values["columns"])})


def _signed(keys: Sequence[int]) -> list[int]:
    """SQLite's integers are signed; keys keep their 64 bits."""
    signed: list[int] = np.asarray(keys, dtype=np.uint64).view(np.int64).tolist()
    return signed
