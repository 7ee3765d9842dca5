"""online_retail in the order of arrival, with all that makes an order of arrival hard."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.machine import ROOT
from shared.config.home import Home
from shared.features.online import COLUMNS, EDGES
from shared.warehouse import open_embedded

_EVENTS = ROOT.parent / "shared" / "data" / "online_retail" / "events.parquet"
_DAY_MS = 86_400_000
_MOMENT = pa.timestamp("ms", "UTC")


@dataclass(frozen=True)
class Replay:
    """Events and edges in the order in which they arrive."""

    events: pa.Table
    edges: pa.Table

    def block(self, start: int, stop: int) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Return some events, and the edges that arrive with them."""
        events = self.events.slice(start, stop - start)
        arrivals = events["ingest_time"].cast(pa.int64()).to_numpy()
        edge_arrivals = self.edges["ingest_time"].cast(pa.int64()).to_numpy()
        low, high = np.searchsorted(edge_arrivals, [arrivals[0], arrivals[-1] + 1])
        return one_batch(events), one_batch(self.edges.slice(low, high - low))


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """Return a table as one batch."""
    table = table.combine_chunks()
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)


def retail_events(folder: Path) -> pa.Table:
    """Import online_retail as `oriel ingest` does, and return what was stored."""
    oriel = [sys.executable, "-m", "app", "--home", str(folder)]
    subprocess.run([*oriel, "init"], check=True, stdout=subprocess.DEVNULL)
    # It ends with a code of its own when it refused rows, as some of these.
    subprocess.run(
        [*oriel, "ingest", str(_EVENTS), "--mapping", "order_lines"],
        check=False,
        stdout=subprocess.DEVNULL,
    )
    with open_embedded(Home(folder).warehouse_path) as warehouse:
        return warehouse.query(f"SELECT {', '.join(COLUMNS)} FROM events ORDER BY event_time")


def mixed(events: pa.Table, seed: int) -> Replay:
    """Mix visits, visitors, merges, retries and late arrivals into events."""
    rng = np.random.default_rng(seed)
    times = events["event_time"].cast(pa.int64()).to_numpy()
    users = np.unique(events["user_key"].to_numpy())
    users = users[users != 0]
    visitor_of = dict(zip(users.tolist(), (users ^ np.uint64(0xABCDEF)).tolist(), strict=True))
    span = (int(times[0]), int(times[-1]))
    joins = _joins(rng, users, visitor_of, span)
    parts = [
        _with_visitors(events, rng, visitor_of),
        _visits(rng, users, visitor_of, span, 60_000),
        joins.select(list(COLUMNS)),
    ]
    table = pa.concat_tables(parts, promote_options="permissive")
    edges = joins.select(EDGES.names)

    count = table.num_rows
    happened = table["event_time"].cast(pa.int64()).to_numpy()
    delay = rng.integers(0, 60_000, count)
    late = rng.random(count)
    delay[late < 0.05] = rng.integers(0, 6 * _DAY_MS, int((late < 0.05).sum()))
    delay[late < 0.002] = rng.integers(10 * _DAY_MS, 40 * _DAY_MS, int((late < 0.002).sum()))
    again = rng.choice(count, count // 100, replace=False)
    rows = np.concatenate([np.arange(count), again])
    arrival = happened + delay
    arrival = np.concatenate([arrival, arrival[again] + rng.integers(1, 5 * _DAY_MS, len(again))])
    order = np.argsort(arrival, kind="stable")
    steps = np.arange(len(order))
    arrival = np.maximum.accumulate(arrival[order] - steps) + steps
    arrived = table.take(pa.array(rows[order]))
    arrived = arrived.set_column(
        arrived.schema.get_field_index("ingest_time"), "ingest_time", _moments(arrival)
    )
    # A retry says something else of the same message; the first arrival is what counts.
    dearer = np.where(order >= count, 2, 1) * arrived["gross_micros"].to_numpy()
    arrived = arrived.set_column(
        arrived.schema.get_field_index("gross_micros"), "gross_micros", pa.array(dearer)
    )
    known = dict(zip(arrived["message_id"].to_pylist()[::-1], arrival[::-1].tolist(), strict=True))
    edge_arrival = np.array([known[each] for each in edges["message_id"].to_pylist()], np.int64)
    edges = edges.append_column("ingest_time", _moments(edge_arrival))
    return Replay(arrived, edges.sort_by("ingest_time"))


def _moments(times_ms: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(times_ms, pa.int64()).cast(_MOMENT)


def _with_visitors(
    events: pa.Table, rng: np.random.Generator, visitor_of: dict[int, int]
) -> pa.Table:
    """Let a tenth of the orders and refunds of users be those of visitors not logged in."""
    users = events["user_key"].to_numpy()
    is_hidden = (users != 0) & (rng.random(len(users)) < 0.1)
    visitors = np.array([visitor_of.get(each, 0) for each in users.tolist()], np.uint64)
    names = events.schema.names
    columns = {name: events[name] for name in names}
    columns["user_key"] = pa.array(np.where(is_hidden, 0, users))
    columns["anonymous_key"] = pa.array(np.where(is_hidden, visitors, 0))
    return pa.table(columns)


def _rows(columns: dict[str, Any], count: int) -> pa.Table:
    """Return rows in which what is not given is 0 or empty."""
    none = {
        "order_part": pa.array(np.zeros(count), pa.uint16()),
        "gross_micros": pa.array(np.zeros(count), pa.int64()),
        "net_micros": pa.array(np.zeros(count), pa.int64()),
        "product_ids": pa.array([[]] * count, pa.list_(pa.string())),
        "quantities": pa.array([[]] * count, pa.list_(pa.float64())),
    }
    whole = {**none, **columns}
    return pa.table({name: whole[name] for name in COLUMNS})


def _visits(
    rng: np.random.Generator,
    users: npt.NDArray[np.uint64],
    visitor_of: dict[int, int],
    span: tuple[int, int],
    count: int,
) -> pa.Table:
    chosen = rng.choice(users, count)
    visitors = np.array([visitor_of[each] for each in chosen.tolist()], np.uint64)
    is_hidden = rng.random(count) < 0.4
    names = np.array(["Product Viewed", "Product Added", "Page Viewed"])
    times = _moments(rng.integers(*span, count))
    return _rows(
        {
            "message_id": pa.array([f"visit-{number}" for number in range(count)]),
            "event": pa.array(rng.choice(names, count, p=[0.7, 0.2, 0.1])),
            "user_key": pa.array(np.where(is_hidden, 0, chosen)),
            "anonymous_key": pa.array(np.where(is_hidden, visitors, 0)),
            "event_time": times,
            "ingest_time": times,
        },
        count,
    )


def _joins(
    rng: np.random.Generator,
    users: npt.NDArray[np.uint64],
    visitor_of: dict[int, int],
    span: tuple[int, int],
) -> pa.Table:
    """Log half of the visitors in, and let one user in twenty turn out to be another."""
    logged = rng.choice(users, len(users) // 2, replace=False)
    former = np.array([visitor_of[each] for each in logged.tolist()], np.uint64)
    one, other = rng.choice(users, (2, len(users) // 20))
    from_keys, to_keys = np.concatenate([former, one]), np.concatenate([logged, other])
    is_pair = from_keys != to_keys
    from_keys, to_keys = from_keys[is_pair], to_keys[is_pair]
    count = len(to_keys)
    times = _moments(rng.integers(*span, count))
    rows = _rows(
        {
            "message_id": pa.array([f"join-{number}" for number in range(count)]),
            "event": pa.repeat("Identified", count),
            "user_key": pa.array(to_keys),
            "anonymous_key": pa.array(np.zeros(count, np.uint64)),
            "event_time": times,
            "ingest_time": times,
        },
        count,
    )
    return rows.append_column("from_key", pa.array(from_keys)).append_column(
        "to_key", pa.array(to_keys)
    )
