"""Random histories of a shop, as rows of the warehouse and as what the plain reference reads."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from shared.features.calendar import day_start
from shared.features.reference import Event

DAY_MS = 86_400_000


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of `events`; what is left out is as a page view has it."""

    message_id: str
    event: str = "Page Viewed"
    user_key: int = 0
    anonymous_key: int = 0
    time_ms: int = 0
    ingest_ms: int | None = None
    order_part: int = 0
    gross_micros: int = 0
    net_micros: int = 0
    product_ids: tuple[str, ...] = ()
    quantities: tuple[float, ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Edge:
    """One row of `identity`."""

    from_key: int
    to_key: int
    time_ms: int
    ingest_ms: int | None = None


def random_rows(
    rng: np.random.Generator,
    users: Sequence[int],
    first_day: int,
    last_day: int,
    count: int,
    prefix: str = "m",
    visitors: Sequence[int] = (),
) -> list[Row]:
    """Draw events of every kind: orders of several parts, refunds, stock corrections, visits."""
    rows = []
    for number in range(count):
        user = int(rng.choice([*users, *([0] * bool(visitors))]))
        visitor = int(rng.choice(visitors)) if visitors and rng.random() < 0.5 else 0
        day = int(rng.integers(first_day, last_day + 1))
        # Midnights themselves are drawn often: windows are half-open there.
        within = 0 if rng.random() < 0.2 else int(rng.integers(0, DAY_MS))
        row = Row(
            message_id=f"{prefix}{number}",
            user_key=user,
            anonymous_key=visitor,
            time_ms=day * DAY_MS + within,
        )
        rows.append(_of_a_kind(rng, row))
    return rows


def _of_a_kind(rng: np.random.Generator, row: Row) -> Row:
    kind = rng.choice(
        ["Order Completed", "Order Refunded", "Product Viewed", "Product Added", "Page Viewed"],
        p=[0.4, 0.1, 0.2, 0.15, 0.15],
    )
    row = replace(row, event=str(kind))
    if kind == "Order Completed":
        lines = int(rng.integers(0, 4))
        gross = int(rng.integers(1, 90_000_000)) if lines and rng.random() < 0.9 else 0
        return replace(
            row,
            order_part=int(rng.random() < 0.2),
            gross_micros=gross,
            net_micros=gross - int(rng.integers(0, 5_000_000)),
            product_ids=tuple(f"p{rng.integers(0, 12)}" for _ in range(lines)),
            quantities=tuple(float(rng.integers(-2, 9)) for _ in range(lines)),
        )
    if kind == "Order Refunded":
        return replace(row, net_micros=-int(rng.integers(1, 60_000_000)))
    return row


def events_table(rows: Iterable[Row]) -> pa.Table:
    """Return rows as the table `events` takes them."""
    rows = list(rows)
    times = [row.time_ms for row in rows]
    known = [row.time_ms if row.ingest_ms is None else row.ingest_ms for row in rows]
    moment = pa.timestamp("ms", "UTC")
    return pa.table(
        {
            "message_id": pa.array([row.message_id for row in rows], pa.string()),
            "source": pa.repeat("test", len(rows)),
            "type": pa.repeat("track", len(rows)),
            "event": pa.array([row.event for row in rows], pa.string()),
            "user_key": pa.array([row.user_key for row in rows], pa.uint64()),
            "anonymous_key": pa.array([row.anonymous_key for row in rows], pa.uint64()),
            "event_time": pa.array(times, pa.int64()).cast(moment),
            "ingest_time": pa.array(known, pa.int64()).cast(moment),
            "order_part": pa.array([row.order_part for row in rows], pa.uint16()),
            "gross_micros": pa.array([row.gross_micros for row in rows], pa.int64()),
            "net_micros": pa.array([row.net_micros for row in rows], pa.int64()),
            "product_ids": pa.array([row.product_ids for row in rows], pa.list_(pa.string())),
            "quantities": pa.array([row.quantities for row in rows], pa.list_(pa.float64())),
        }
    )


def identity_table(edges: Iterable[Edge]) -> pa.Table:
    """Return edges as the table `identity` takes them."""
    edges = list(edges)
    known = [edge.time_ms if edge.ingest_ms is None else edge.ingest_ms for edge in edges]
    moment = pa.timestamp("ms", "UTC")
    return pa.table(
        {
            "message_id": pa.array([f"e{number}" for number in range(len(edges))]),
            "from_key": pa.array([edge.from_key for edge in edges], pa.uint64()),
            "to_key": pa.array([edge.to_key for edge in edges], pa.uint64()),
            "kind": pa.repeat("identify", len(edges)),
            "event_time": pa.array([edge.time_ms for edge in edges], pa.int64()).cast(moment),
            "ingest_time": pa.array(known, pa.int64()).cast(moment),
        }
    )


def reference_events(rows: Iterable[Row], zone: ZoneInfo) -> dict[int, list[Event]]:
    """Return the events of each user key as the plain reference reads them."""
    histories: dict[int, list[Event]] = defaultdict(list)
    for row in rows:
        histories[row.user_key].append(
            Event(
                event=row.event,
                time_ms=row.time_ms,
                day=_day(row.time_ms, zone),
                order_part=row.order_part,
                gross_micros=row.gross_micros,
                net_micros=row.net_micros,
                product_ids=row.product_ids,
                quantities=row.quantities,
            )
        )
    return histories


def _day(time_ms: int, zone: ZoneInfo) -> int:
    guess = time_ms // DAY_MS
    return max(
        day
        for day in (guess - 1, guess, guess + 1)
        if day_start(day, zone).timestamp() * 1000 <= time_ms
    )
