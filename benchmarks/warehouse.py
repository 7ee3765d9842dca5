"""How fast are datasets built and events taken in, against the nearest thing that could do it?

bar pit_over_duckdb: a training dataset over 10 million events, built whole (uniqueness check,
features, labels, order, hash, statistics, files), over DuckDB's time for the uniqueness check and
the ordered rows as Arrow, from its own storage sorted alike, by the faster of two ways to write
the query; all columns must have equal checksums.
bar growth_10x: the same build over ten times the events.
bar ingest_over_raw: an import of a Parquet file through the service over a raw insert of the rows
that it stores.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import keep, report
from benchmarks.peer import Peer
from benchmarks.synthetic import DAYS, FIRST_DAY, segment_rows, shop_events
from oriel.common.v1 import common_pb2
from oriel.ingestion.v1 import ingestion_pb2, ingestion_pb2_grpc
from services.feature.adapters.history import EventHistory
from services.feature.domain.question import question_of
from services.feature.usecases.build import DatasetBuilder, Order
from services.ingestion import main as ingestion
from shared.config.home import DEMO_PSEUDONYM_KEY, Home, WorkspaceSettings
from shared.config.prediction import shipped_text
from shared.dataset import DatasetReader
from shared.features.calendar import day_start, milliseconds
from shared.features.compiler import compile_sql
from shared.rpc import connect, serve
from shared.warehouse import Warehouse, migrate, open_embedded

_EVENT_COLUMNS = (
    "message_id, source, type, event, user_key, anonymous_key, event_time, ingest_time, "
    "is_backfill, order_id, order_part, gross_micros, net_micros, product_ids, quantities, "
    "price_micros, line_ids, campaign, channel, consent, properties, context"
)


def main(arguments: list[str]) -> int:
    """Measure, print the bars and keep the rounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks warehouse")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--ingest-rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-keep", action="store_true", help="leave the kept results alone")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="oriel-bench-") as name:
        folder = Path(name)
        small = [
            each["build_seconds"]
            for each in builds(folder / "small", options.events // 10, options.rounds, None)
        ]
        whole = builds(folder / "whole", options.events, options.rounds, compare)
        taken = ingestion_rounds(folder / "ingest", options.ingest_rows, min(options.rounds, 3))
    bars = {
        "pit_over_duckdb": _ratio(whole, "build_seconds", "duckdb_seconds"),
        "ingest_over_raw": _ratio(taken, "rows_a_second", "raw_rows_a_second"),
        "growth_10x": statistics.median(each["build_seconds"] for each in whole)
        / statistics.median(small),
    }
    query_only = _ratio(whole, "query_seconds", "duckdb_rows_seconds")
    report("pit_over_duckdb", bars["pit_over_duckdb"], "<= 1.0")
    report("ingest_over_raw", bars["ingest_over_raw"], ">= 0.15")
    report("growth_10x", bars["growth_10x"], "<= 12")
    if not options.no_keep:
        answer = {
            "command": "make bench NAME=warehouse",
            "events": options.events,
            "bars": bars,
            "pit_query_over_duckdb": query_only,
            "pit_rounds": whole,
            "tenth_build_seconds": small,
            "ingest_rounds": taken,
        }
        print(f"kept {keep('warehouse', answer)}")
    is_met = (
        bars["pit_over_duckdb"] <= 1.0
        and bars["ingest_over_raw"] >= 0.15
        and bars["growth_10x"] <= 12
    )
    return 0 if is_met else 1


class Shop:
    """A warehouse of synthetic events and the dataset asked of it."""

    def __init__(self, warehouse: Warehouse, folder: Path) -> None:
        self._warehouse, self._folder = warehouse, folder
        self._history = EventHistory(warehouse, "UTC")
        self._builder = DatasetBuilder(self._history, "UTC", "USD")
        as_of = day_start(FIRST_DAY + DAYS, ZoneInfo("UTC"))
        question = question_of([shipped_text("churn_90d")])
        self.order = Order("datasets/benchmark", "training", question, as_of, as_of)

    def settings(self) -> dict[str, Any]:
        """Return what a peer needs to know of the question."""
        spine = self._builder.plan(self.order).spine
        return {
            "instants": [(each.day, each.time_ms) for each in spine.instants],
            "horizon_days": spine.horizon_days,
            "end_ms": milliseconds(spine.end),
            "known_ms": milliseconds(self.order.known_at),
            "threads": 2,
        }

    def build(self) -> DatasetReader:
        """Build the dataset whole."""
        self._builder.build(self.order, self._folder / "dataset", _Quiet())
        return DatasetReader(self._folder / "dataset")

    def query(self) -> int:
        """Compute the rows alone; returns how many."""
        spine = self._builder.plan(self.order).spine
        source = self._history.source(by_person=False)
        sql = compile_sql(self.order.question.features, spine, source)
        end: datetime = spine.end
        batches = list(self._history.read(sql, end, self.order.known_at, ""))
        return sum(batch.num_rows for batch in batches)


class _Quiet:
    def progress(self, completed: int, total: int, unit: str, message: str = "") -> None:
        """Say nothing."""

    def raise_if_cancelled(self) -> None:
        """Go on."""


Compare = Callable[[Shop, Path, Path, int], list[dict[str, Any]]]


def builds(
    folder: Path, count: int, rounds: int, comparison: Compare | None
) -> list[dict[str, Any]]:
    """Store events and build datasets of them, beside a peer or alone."""
    folder.mkdir(parents=True)
    parquet = folder / "events.parquet"
    pq.write_table(shop_events(count), parquet, compression="zstd", row_group_size=524_288)
    with open_embedded(folder / "warehouse") as warehouse:
        migrate(warehouse)
        for batch in pq.ParquetFile(parquet).iter_batches(1_000_000):
            warehouse.insert("events", pa.Table.from_batches([batch]))
        shop = Shop(warehouse, folder)
        if comparison is not None:
            return comparison(shop, folder, parquet, rounds)
        return [_timed_build(shop) for _ in range(rounds)]


def compare(shop: Shop, folder: Path, parquet: Path, rounds: int) -> list[dict[str, Any]]:
    """Build in turns with DuckDB, whose faster way is found first."""
    settings = {
        **shop.settings(),
        "parquet": str(parquet),
        "database": str(folder / "duckdb.db"),
    }
    found = []
    with Peer("duckdb", "point_in_time.py", settings) as duckdb:
        version = duckdb.ask(do="load")["version"]
        tried = {way: duckdb.ask(do="run", way=way) for way in ("by_day", "by_slot")}
        way = min(tried, key=lambda each: float(tried[each]["seconds"]))
        print(
            f"duckdb {version}: " + ", ".join(f"{k} {v['seconds']:.2f} s" for k, v in tried.items())
        )
        for number in range(rounds):
            ours = _timed_build(shop)
            started = time.perf_counter()
            row_count = shop.query()
            query_seconds = time.perf_counter() - started
            theirs = duckdb.ask(do="run", way=way)
            if ours.pop("checksums") != theirs["checksums"] or row_count != theirs["rows"]:
                raise SystemExit("the rows of DuckDB and ours differ")
            found.append(
                {
                    **ours,
                    "query_seconds": query_seconds,
                    "duckdb_seconds": theirs["seconds"],
                    "duckdb_rows_seconds": theirs["seconds"] - theirs["check_seconds"],
                    "duckdb_way": way,
                    "duckdb_version": version,
                    "rows": row_count,
                }
            )
            print(
                f"round {number + 1}: build {ours['build_seconds']:.2f} s, query "
                f"{query_seconds:.2f} s, duckdb {theirs['seconds']:.2f} s, checksums equal",
                flush=True,
            )
    return found


def _timed_build(shop: Shop) -> dict[str, Any]:
    started = time.perf_counter()
    reader = shop.build()
    seconds = time.perf_counter() - started
    return {"build_seconds": seconds, "checksums": checksums(reader)}


def checksums(reader: DatasetReader) -> dict[str, int]:
    """Add up the bits of each column; a missing value counts as a number of its own."""
    rows = reader.arrays()
    assert rows.spend_micros is not None
    sums = {"user_key": int(rows.user_keys.sum(dtype=np.uint64))}
    for column, name in enumerate(reader.manifest.feature_names):
        values = np.ascontiguousarray(rows.features[:, column])
        bits = values.view(np.uint32).astype(np.uint64)
        bits[np.isnan(values)] = 1
        sums[name] = int(bits.sum(dtype=np.uint64))
    sums["spend_micros"] = int(rows.spend_micros.sum())
    return sums


def ingestion_rounds(folder: Path, count: int, rounds: int) -> list[dict[str, Any]]:
    """Import a file through the service, then insert raw what it stored."""
    folder.mkdir(parents=True)
    path = folder / "events.parquet"
    pq.write_table(segment_rows(count), path, compression="zstd")
    found = []
    for number in range(rounds):
        home = Home(folder / f"home-{number}")
        with open_embedded(home.warehouse_path) as warehouse:
            migrate(warehouse)
            workspace = WorkspaceSettings(pseudonym_key=DEMO_PSEUDONYM_KEY)
            seconds, accepted = import_seconds(home, workspace, warehouse, path)
            rows = warehouse.query(f"SELECT {_EVENT_COLUMNS} FROM events")
            warehouse.execute("CREATE TABLE raw AS events")
            started = time.perf_counter()
            warehouse.insert("raw", rows)
            raw_seconds = time.perf_counter() - started
        found.append(
            {
                "rows": count,
                "accepted": accepted,
                "rows_a_second": count / seconds,
                "raw_rows_a_second": rows.num_rows / raw_seconds,
            }
        )
        print(
            f"ingest {count / seconds:,.0f} rows/s, raw {rows.num_rows / raw_seconds:,.0f} rows/s"
        )
    return found


def import_seconds(
    home: Home, workspace: WorkspaceSettings, warehouse: Warehouse, path: Path
) -> tuple[float, int]:
    """Import a file as a client does; returns the seconds and the rows accepted."""
    service = ingestion.build(ingestion.IngestionSettings(home, workspace), warehouse)
    with serve([service], "127.0.0.1:0") as server, connect(server.address) as channel:
        stub = ingestion_pb2_grpc.IngestionServiceStub(channel)
        started = time.perf_counter()
        request = ingestion_pb2.CreateImportRequest(uri=str(path), request_id="benchmark")
        made = getattr(stub.CreateImport(request), "import")
        watch = stub.WatchImport(ingestion_pb2.WatchImportRequest(name=made.name))
        last = [getattr(answer, "import") for answer in watch][-1]
        seconds = time.perf_counter() - started
    if last.state != common_pb2.STATE_SUCCEEDED:
        raise SystemExit(f"the import failed: {last.error.message}")
    return seconds, int(last.accepted_row_count)


def _ratio(rounds: list[dict[str, Any]], top: str, bottom: str) -> float:
    above = statistics.median(float(each[top]) for each in rounds)
    return above / statistics.median(float(each[bottom]) for each in rounds)
