"""Numbered, forward-only changes of the schema, and which of them a warehouse has."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from shared.errors import FailedPreconditionError, UnavailableError
from shared.warehouse.port import Warehouse

MIGRATIONS = Path(__file__).resolve().parents[2] / "infra" / "clickhouse" / "migrations"
"""Folder of the SQL files; Oriel is run from its checkout."""

_JOURNAL = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    name        String,
    digest      String,
    apply_time  DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY name
"""
# A quoted text, or a comment to drop, or the end of a statement.
_TOKEN = re.compile(r"'(?:[^'\\]|\\.|'')*'|`[^`]*`|--[^\n]*|/\*.*?\*/|;", re.DOTALL)


@dataclass(frozen=True)
class Migration:
    """One numbered file."""

    name: str
    statements: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Fingerprint of what it does; comments and blank space do not count."""
        text = "\0".join(" ".join(statement.split()) for statement in self.statements)
        return hashlib.sha256(text.encode()).hexdigest()


def shipped(folder: Path = MIGRATIONS) -> list[Migration]:
    """Read the migrations of this checkout in their order."""
    return [
        Migration(file.stem, tuple(split(file.read_text(encoding="utf-8"))))
        for file in sorted(folder.glob("[0-9]*.sql"))
    ]


def split(text: str) -> list[str]:
    """Cut a file into statements, without comments.

    >>> split("CREATE TABLE a; -- the first; table\\nSELECT ';'")
    ['CREATE TABLE a', "SELECT ';'"]
    """
    parts = [""]
    position = 0
    for token in _TOKEN.finditer(text):
        parts[-1] += text[position : token.start()]
        position = token.end()
        if token[0] == ";":
            parts.append("")
        elif not token[0].startswith(("--", "/*")):
            parts[-1] += token[0]
    parts[-1] += text[position:]
    return [part.strip() for part in parts if part.strip()]


def migrate(warehouse: Warehouse, folder: Path = MIGRATIONS) -> list[str]:
    """Bring a warehouse up to this checkout's schema; returns the names applied now.

    Every statement is written so that running it twice does no harm (a test sees to it), so a
    migration cut short by a crash is simply run again. Names that only a newer Oriel knows are
    left alone: the older one runs before and after its successor's migrations.

    Raises:
        FailedPreconditionError: A migration was changed after it had been applied.
    """
    warehouse.execute(_JOURNAL)
    rows = warehouse.query(
        "SELECT name, any(digest) AS digest FROM schema_migrations GROUP BY name"
    )
    journal = dict(zip(rows["name"].to_pylist(), rows["digest"].to_pylist(), strict=True))
    applied = []
    for migration in shipped(folder):
        if migration.name in journal:
            _check_unchanged(migration, journal[migration.name])
            continue
        for statement in migration.statements:
            warehouse.execute(statement)
        warehouse.insert("schema_migrations", _entry(migration))
        applied.append(migration.name)
    return applied


def require_migrated(warehouse: Warehouse, folder: Path = MIGRATIONS) -> None:
    """Return if a warehouse has this checkout's schema, or a newer one.

    Raises:
        UnavailableError: It has not yet.
    """
    found = warehouse.query(
        "SELECT count() AS n FROM system.tables "
        "WHERE database = currentDatabase() AND name = 'schema_migrations'"
    )
    names: set[str] = set()
    if found["n"].to_pylist()[0]:
        rows = warehouse.query("SELECT DISTINCT name FROM schema_migrations")
        names = set(rows["name"].to_pylist())
    lacking = [each.name for each in shipped(folder) if each.name not in names]
    if lacking:
        raise UnavailableError(
            f"the warehouse lacks the migration {lacking[0]}; "
            "start the ingestion service of this version, which applies it",
            reason="SCHEMA_NOT_READY",
            migration=lacking[0],
        )


def _check_unchanged(migration: Migration, digest: str) -> None:
    if digest != migration.digest:
        raise FailedPreconditionError(
            f"Migration {migration.name} differs from what this warehouse was built with; "
            "restore the file and put the change into a new migration.",
            reason="MIGRATION_CHANGED",
            migration=migration.name,
        )


def _entry(migration: Migration) -> pa.Table:
    return pa.table(
        {
            "name": [migration.name],
            "digest": [migration.digest],
            "apply_time": pa.array([datetime.now(UTC)], pa.timestamp("us", "UTC")).cast(
                pa.timestamp("ms", "UTC"), safe=False
            ),
        }
    )
