"""A small shop and the datasets built of it, for tests of what datasets may know."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from services.feature.domain.question import question_of
from services.feature.usecases.build import DatasetBuilder, Order
from services.feature.usecases.ports import History
from shared.config.prediction import shipped_text
from shared.dataset import DatasetReader
from shared.features.calendar import day_start
from shared.warehouse import Warehouse
from tests.support.histories import (
    DAY_MS,
    Edge,
    Row,
    events_table,
    identity_table,
    random_rows,
)

ZONE = "Europe/London"
FIRST_DAY = 15_000
AS_OF_DAY = 15_260
QUESTION = shipped_text("churn_90d").replace("horizon: 90d", "horizon: 10d")


def moment(day: int) -> datetime:
    """Return the start of a day in the shop's zone."""
    return day_start(day, ZoneInfo(ZONE))


@dataclass(frozen=True)
class Shop:
    """Rows of the warehouse."""

    rows: tuple[Row, ...]
    edges: tuple[Edge, ...] = ()

    def store(self, warehouse: Warehouse) -> None:
        """Add them to the warehouse."""
        if self.rows:
            warehouse.insert("events", events_table(self.rows))
        if self.edges:
            warehouse.insert("identity", identity_table(self.edges))


def random_shop(
    seed: int,
    first_day: int = FIRST_DAY,
    last_day: int = AS_OF_DAY - 1,
    count: int = 2_500,
    prefix: str = "m",
    *,
    has_edges: bool = True,
) -> Shop:
    """Draw customers, visitors who become customers, and customers who turn out to be one."""
    rng = np.random.default_rng(seed)
    users, visitors = list(range(1, 61)), list(range(1_001, 1_041))
    rows = random_rows(rng, users, first_day, last_day, count, prefix, visitors)
    if not has_edges:
        return Shop(tuple(rows))

    def draw(sources: Sequence[int], number: int) -> list[Edge]:
        return [
            Edge(
                from_key=int(rng.choice(sources)),
                to_key=int(rng.choice(users)),
                time_ms=int(rng.integers(first_day, last_day + 1)) * DAY_MS,
            )
            for _ in range(number)
        ]

    edges = draw(visitors, 25) + draw(users, 8)
    return Shop(tuple(rows), tuple(edge for edge in edges if edge.from_key != edge.to_key))


class Quiet:
    """Work that nobody watches."""

    def progress(self, completed: int, total: int, unit: str, message: str = "") -> None:
        """Say nothing."""

    def raise_if_cancelled(self) -> None:
        """Go on."""


def build(
    history: History, folder: Path, purpose: str, known_day: int = AS_OF_DAY
) -> DatasetReader:
    """Build a dataset as of the shop's last day and open it."""
    builder = DatasetBuilder(history, ZONE, "GBP")
    order = Order(
        f"datasets/{folder.name}",
        purpose,
        question_of([QUESTION]),
        moment(AS_OF_DAY),
        moment(known_day),
    )
    builder.build(order, folder, Quiet())
    return DatasetReader(folder)


def files_of(reader: DatasetReader, folder: Path) -> dict[str, bytes]:
    """Return the bytes of each shard."""
    return {shard: (folder / shard).read_bytes() for shard in reader.manifest.shards}
