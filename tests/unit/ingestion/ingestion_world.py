"""A whole ingestion over a real embedded warehouse, with a clock that stands still."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.ingestion.adapters.sources import FileSources
from services.ingestion.adapters.vault import SqliteVault
from services.ingestion.domain.pseudonyms import Pseudonymiser
from services.ingestion.usecases.circumstances import Circumstances
from services.ingestion.usecases.import_file import import_file
from services.ingestion.usecases.ingest_events import ingest_events
from services.ingestion.usecases.memory import Stores
from services.ingestion.usecases.ports import Tally
from services.ingestion.usecases.replay import list_rejected, replay
from shared.warehouse import Warehouse

NOW = 1_700_000_000_000  # 2023-11-14T22:13:20Z
SECRET = b"0123456789abcdef0123456789abcdef"
TABLES = ("events", "identity", "events_rejected", "events_replayed")


@dataclass
class Progress:
    """A `JobContext` that runs in the test's own thread."""

    is_cancelled: bool = False
    results: dict[str, Any] = field(default_factory=dict)

    def progress(self, completed: int, total: int, unit: str, message: str = "") -> None:
        assert 0 <= completed <= total

    def update(self, **result: Any) -> None:
        self.results |= result

    def raise_if_cancelled(self) -> None:
        assert not self.is_cancelled


class World:
    """What a test does with ingestion."""

    def __init__(self, warehouse: Warehouse, folder: Path, time_zone: str = "UTC") -> None:
        self.warehouse, self.folder = warehouse, folder
        self.vault = SqliteVault(folder / "vault.sqlite")
        self.circumstances = Circumstances(
            Stores(warehouse, self.vault, Pseudonymiser(SECRET)),
            FileSources(),
            "GBP",
            time_zone,
            lambda: NOW,
        )

    def file(self, name: str, content: bytes | str) -> str:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def take(self, path: str, mapping: str = "", source: str = "") -> Tally:
        opened = self.circumstances.sources.open(path, mapping, source)
        return Tally(**import_file(self.circumstances, opened, path, Progress()))

    def send(self, *events: dict[str, Any] | bytes, source: str = "") -> Tally:
        lines = [e if isinstance(e, bytes) else json.dumps(e).encode() for e in events]
        return ingest_events(self.circumstances, lines, source)

    def replay(self, mapping: str = "", source: str = "", reason: str = "") -> Tally:
        return replay(self.circumstances, source, reason, mapping)

    def rejected(self) -> list[Any]:
        rows, token = list_rejected(self.circumstances, "", "", 1000, "")
        assert not token
        return rows

    def faults(self) -> set[tuple[int, str, str]]:
        return {(row.row, row.reason, row.field) for row in self.rejected()}

    def events(self, columns: str = "*") -> list[dict[str, Any]]:
        sql = f"SELECT {columns} FROM events ORDER BY event_time, message_id"
        rows: list[dict[str, Any]] = self.warehouse.query(sql).to_pylist()
        return rows

    def one(self, sql: str) -> Any:
        return self.warehouse.query(sql).column(0)[0].as_py()

    def clear(self) -> None:
        for table in TABLES:
            self.warehouse.execute(f"TRUNCATE TABLE {table}")
        self.vault.close()
