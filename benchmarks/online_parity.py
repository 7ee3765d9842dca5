"""Do features kept up event by event equal those of datasets, and how fast are they kept up?

bar parity_mismatches: values that differ by more than 1e-6, relatively, among rows of the online
state and rows of the dataset's own statements as known at the same arrival. Orders and refunds of
online_retail are replayed in the order of arrival, with visits, carts, visitors who log in,
customers who turn out to be one, 1 % sent twice, 5 % late, and some later than is allowed: the
last mark their user, who is left out until a rebuild, after which nobody is.
bar updater_events_per_s: events a second of process time of one core, in blocks.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.machine import keep, report
from benchmarks.online_parity_replay import Replay, mixed, retail_events
from benchmarks.readme import write_section
from benchmarks.synthetic import shop_events
from services.feature.adapters.history import EventHistory
from services.feature.domain.question import question_of
from services.feature.usecases.compute import Computation
from shared.config.prediction import shipped_text
from shared.features import FEATURES
from shared.features.calendar import Instant, Spine
from shared.features.online import (
    COLUMNS,
    EDGES,
    OnlineFeatures,
    OnlineSettings,
    Outcome,
    StateReport,
    Status,
)
from shared.features.online.days import LocalDays
from shared.warehouse import Warehouse, migrate, open_embedded

ZONE = "Europe/London"
LATENESS = timedelta(days=7)
TOLERANCE = 1e-6

_DAY_MS = 86_400_000
_DECLARED = tuple(FEATURES.values())


@dataclass
class Tally:
    """What was compared so far."""

    rows: int = 0
    stale: int = 0
    mismatches: int = 0
    outcomes: dict[str, int] | None = None


def store(warehouse: Warehouse, replay: Replay) -> None:
    """Write what the writer would: of each message id the first arrival."""
    ids = replay.events["message_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    first = np.sort(np.unique(ids, return_index=True)[1])
    rows = replay.events.take(pa.array(first))
    count = rows.num_rows
    rows = rows.append_column("source", pa.repeat("replay", count))
    warehouse.insert("events", rows.append_column("type", pa.repeat("track", count)))
    kinds = pa.repeat("alias", replay.edges.num_rows)
    warehouse.insert("identity", replay.edges.append_column("kind", kinds))


def offline(
    warehouse: Warehouse, instant: Instant, known_at: datetime
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float32]]:
    """Return users and features of the dataset of an instant."""
    question = replace(question_of([shipped_text("churn_90d")]), features=_DECLARED)
    history = EventHistory(warehouse, ZONE)
    made = Computation(history, "parity", question, Spine((instant,), ZONE), known_at).run()
    return made.arrays.user_keys, made.arrays.features


def compare(
    state: OnlineFeatures, warehouse: Warehouse, time_ms: int, known_ms: int, tally: Tally
) -> None:
    """Compare all users at an instant, as known at an arrival."""
    day = int(LocalDays(ZONE).ceiling(np.array([time_ms]))[0])
    known_at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=known_ms)
    instant = Instant(day, datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=time_ms))
    keys, values = offline(warehouse, instant, known_at)
    found = state.rows(keys, time_ms)
    is_stale = found.status == Status.STALE
    tally.rows += int((~is_stale).sum())
    tally.stale += int(is_stale.sum())
    wrong_rows = ~is_stale & ((found.status != Status.PRESENT) | (found.persons != keys))
    is_equal = np.isclose(found.values, values, rtol=TOLERANCE, atol=0.0, equal_nan=True)
    wrong = ~is_equal & ~is_stale[:, None]
    tally.mismatches += int(wrong.sum()) + int(wrong_rows.sum())
    users = warehouse.query("SELECT DISTINCT user_key FROM events WHERE user_key != 0")
    known = state.rows(users["user_key"].to_numpy(), time_ms)
    persons = known.persons[known.status == Status.PRESENT]
    tally.mismatches += int((~np.isin(persons, keys)).sum())
    for row, column in np.argwhere(wrong)[:3]:
        print(
            f"{_DECLARED[column].name} of {keys[row]} at {instant.time}: "
            f"{found.values[row, column]!r} online, {values[row, column]!r} in the dataset"
        )


def replayed(folder: Path, replay: Replay, checkpoints: int, size: int) -> Tally:
    """Replay in blocks, with a crash now and then; compare at checkpoints and after a rebuild."""
    rng = np.random.default_rng(11)
    tally = Tally()
    settings = OnlineSettings(ZONE, LATENESS)

    def opened() -> OnlineFeatures:
        return OnlineFeatures.open(folder / "state", "0", _DECLARED, settings)

    arrivals = replay.events["ingest_time"].cast(pa.int64()).to_numpy()
    happened = replay.events["event_time"].cast(pa.int64()).to_numpy()
    total = len(arrivals)
    stops = np.linspace(0, total, checkpoints + 1).astype(int)[1:]
    outcomes = np.zeros(total, np.uint8)
    with open_embedded(folder / "warehouse") as warehouse:
        migrate(warehouse)
        store(warehouse, replay)
        state, days = opened(), LocalDays(ZONE)
        for checkpoint in stops:
            done = state.offsets.get("replay", 0)
            while done < checkpoint:
                stop = min(done + size, int(checkpoint))
                block, edges = replay.block(done, stop)
                applied = state.apply(block, {"replay": stop}, edges)
                outcomes[done:stop] = applied.outcomes
                done = stop
                if rng.random() < 0.05:
                    # As if killed: what was applied since the snapshot is read again.
                    state.close()
                    state = opened()
                    done = state.offsets.get("replay", 0)
                elif rng.random() < 0.3:
                    state.snapshot()
            known = int(arrivals[done - 1])
            newest = int(np.minimum(happened, arrivals)[:done].max())
            midnight = days.start(int(days.of(np.array([newest]))[0]))
            back = newest - int(rng.integers(0, 6 * _DAY_MS))
            for time_ms in (newest + 1, midnight, back, newest + 20 * _DAY_MS):
                compare(state, warehouse, time_ms, known, tally)
            print(f"{done} of {total} arrivals: {tally}", flush=True)
        state.rebuild(
            warehouse.stream(f"SELECT {', '.join(COLUMNS)} FROM events ORDER BY ingest_time"),
            warehouse.stream(f"SELECT {', '.join(EDGES.names)} FROM identity"),
            {"replay": total},
        )
        stale = tally.stale
        compare(state, warehouse, newest + 1, known, tally)
        tally.outcomes = {
            each.name.lower(): int(np.count_nonzero(outcomes == each)) for each in Outcome
        }
        if tally.stale != stale:
            raise SystemExit("users are left out after a rebuild")
        state.close()
    return tally


def speed(folder: Path, count: int, size: int, rounds: int) -> tuple[dict[str, Any], StateReport]:
    """Measure how fast events are taken in, and rows read and written."""
    table = shop_events(count)
    table = table.append_column("anonymous_key", pa.array(np.zeros(count, np.uint64)))
    blocks = table.combine_chunks().to_batches(max_chunksize=size)
    keys = np.unique(table["user_key"].to_numpy())
    newest = int(table["event_time"].cast(pa.int64())[-1].as_py())
    with OnlineFeatures.open(folder, "speed", _DECLARED, OnlineSettings(ZONE, LATENESS)) as state:
        started = time.process_time()
        for number, block in enumerate(blocks):
            state.apply(block, {"speed": number})
        seconds = time.process_time() - started
        started = time.perf_counter()
        state.snapshot()
        whole = time.perf_counter() - started
        rng = np.random.default_rng(3)
        times: dict[int, list[float]] = {64: [], 4_096: []}
        for asked, found in times.items():
            for _ in range(rounds):
                some = rng.choice(keys, asked)
                started = time.perf_counter()
                state.rows(some, newest)
                found.append(time.perf_counter() - started)
        return {
            "events": count,
            "block": size,
            "events_per_s": count / seconds,
            "whole_snapshot_seconds": whole,
            "rows_64_ms": 1e3 * statistics.median(times[64]),
            "rows_4096_ms": 1e3 * statistics.median(times[4_096]),
        }, state.report()


def main(arguments: Sequence[str] = ()) -> int:
    """Replay, compare, measure; print the bars."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks online_parity")
    parser.add_argument("--checkpoints", type=int, default=6)
    parser.add_argument("--block", type=int, default=1_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-keep", action="store_true", help="leave the kept results alone")
    options = parser.parse_args(arguments)
    answer: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="oriel-bench-") as name:
        folder = Path(name)
        if options.checkpoints:
            replay = mixed(retail_events(folder / "home"), options.seed)
            tally = replayed(folder, replay, options.checkpoints, options.block)
            print(f"compared {tally.rows} user-instants of {len(_DECLARED)} features: {tally}")
            answer["parity"] = vars(tally)
            report("parity_mismatches", tally.mismatches, "0")
            report("parity_user_instants", tally.rows, "at least 10000")
        if options.events:
            measured, state = speed(folder / "speed", options.events, 5_000, 200)
            answer["speed"] = measured
            answer["state"] = {
                "keys": state.keys,
                "bytes_per_key": state.bytes_per_key,
                "parts": dict(state.parts),
                "feature_bytes": dict(state.feature_bytes),
            }
            print(measured, state.bytes_per_key)
            report("updater_events_per_s", measured["events_per_s"], "at least 100000")
            report("rows_64_ms", measured["rows_64_ms"], "about 1")
    if not options.no_keep:
        keep("online_parity", answer)
        write_section("online_parity", _table(answer))
    return 0


def _table(answer: dict[str, Any]) -> str:
    """Write what was measured, and what a user takes."""
    parity, measured, state = answer["parity"], answer["speed"], answer["state"]
    rows = [
        ("`parity_mismatches`", "0", f"{parity['mismatches']}"),
        ("`parity_user_instants`", "at least 10,000", f"{parity['rows']:,}"),
        ("`updater_events_per_s`", "at least 100,000", f"{measured['events_per_s']:,.0f}"),
        ("`rows_64_ms`", "about 1", f"{measured['rows_64_ms']:.2f}"),
        ("4,096 rows, ms", "no bar", f"{measured['rows_4096_ms']:.1f}"),
        ("snapshot of all users, s", "no bar", f"{measured['whole_snapshot_seconds']:.2f}"),
        ("bytes a user", "no bar", f"{state['bytes_per_key']:,.0f}"),
    ]
    rows += [
        (f"bytes a user: {part}", "no bar", f"{count / state['keys']:,.0f}")
        for part, count in state["parts"].items()
    ]
    lines = ["| bar | needs | measured |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
