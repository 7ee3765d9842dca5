"""A state on disk: what is there after a crash, and after a rebuild."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from shared.errors import FailedPreconditionError
from shared.features import FEATURES
from shared.features.online import EDGES, OnlineFeatures, OnlineSettings, Outcome, Status
from tests.support.histories import DAY_MS, Edge, Row, events_table, identity_table

ROOT = Path(__file__).parents[4]

# Applies the n-th block of orders at offset n, and takes a snapshot after every third.
WRITER = """
import sys
from pathlib import Path
from tests.unit.features.online.test_online_store import block, opened_at
state = opened_at(Path(sys.argv[1]))
number = state.offsets.get("s", 0)
print("at", number, flush=True)
while True:
    state.apply(block(number), {"s": number + 1})
    number += 1
    if number % 3 == 0:
        state.snapshot()
        print(number, flush=True)
"""


def one_batch(table: pa.Table) -> pa.RecordBatch:
    (batch,) = table.combine_chunks().to_batches()
    return batch


def order(number: int, day: float, **other) -> Row:
    return Row(
        message_id=f"o{number}",
        event="Order Completed",
        time_ms=int(day * DAY_MS),
        **{"user_key": 1, "gross_micros": 5_000_000, "net_micros": 5_000_000, **other},
    )


def block(number: int) -> pa.RecordBatch:
    """Return ten orders of as many users, and one sent twice."""
    rows = [
        order(
            10 * number + n,
            100 + number / 50,
            user_key=1 + (number * 7 + n) % 40,
            product_ids=(f"p{number % 13}",),
            quantities=(1.0,),
        )
        for n in range(10)
    ]
    return one_batch(events_table([*rows, rows[0]]))


def opened_at(folder: Path) -> OnlineFeatures:
    return OnlineFeatures.open(folder, "0", tuple(FEATURES.values()), OnlineSettings("UTC"))


def users(state: OnlineFeatures, day: float) -> np.ndarray:
    return state.rows(np.arange(1, 42), int(day * DAY_MS)).values


def test_after_a_kill_at_any_point_the_state_is_that_of_its_offsets(tmp_path):
    folder, rng = tmp_path / "state", np.random.default_rng(5)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    reached = []
    for _ in range(2):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        assert writer.stdout is not None
        # Somewhere while it goes on: lines come as fast as it writes.
        for _ in range(int(rng.integers(2, 12))):
            assert writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        with opened_at(folder) as state:
            count = state.offsets["s"]
            reached.append(count)
            with opened_at(tmp_path / f"fresh-{count}") as fresh:
                for number in range(count):
                    fresh.apply(block(number), {"s": number + 1})
                day = 101 + count / 50
                np.testing.assert_array_equal(users(state, day), users(fresh, day))
            # What was applied and not written comes again; what was written is known.
            again = state.apply(block(count - 1), {"s": count})
            assert again.count(Outcome.DUPLICATE) == 11
    assert reached == sorted(set(reached))


def test_snapshots_of_changes_add_up_to_the_whole(opened):
    rng = np.random.default_rng(2)
    days = np.sort(rng.uniform(100, 140, 90))
    with opened() as state:
        for number, day in enumerate(days):
            row = order(number, day, user_key=1 + number % 7, product_ids=(f"p{number % 5}",))
            edge = Edge(from_key=1, to_key=2, time_ms=int(day * DAY_MS))
            edges = one_batch(identity_table([edge])) if number == 40 else None
            state.apply(one_batch(events_table([row])), {"s": number}, edges)
            if number % 9 == 0:
                state.snapshot()
        state.snapshot()
        before = state.rows(np.arange(1, 9), 141 * DAY_MS)
        report = state.report()
    with opened() as state:
        after = state.rows(np.arange(1, 9), 141 * DAY_MS)
        np.testing.assert_array_equal(after.values, before.values)
        np.testing.assert_array_equal(after.persons, before.persons)
        assert state.report().keys == report.keys
        assert state.offsets == {"s": 89}


def test_what_a_failed_write_leaves_out_is_in_the_next(opened, tmp_path):
    with opened() as state:
        state.snapshot()
        state.apply(one_batch(events_table([order(1, 100)])), {"s": 1})
        (file,) = (tmp_path / "state").glob("*.sqlite")
        with closing(sqlite3.connect(file)) as other:
            other.execute("ALTER TABLE slot RENAME TO away")
            with pytest.raises(sqlite3.OperationalError, match="no such table"):
                state.snapshot()
            other.execute("ALTER TABLE away RENAME TO slot")
        state.apply(one_batch(events_table([order(2, 100, user_key=2)])), {"s": 2})
        state.snapshot()
    with opened() as state:
        assert state.rows(np.array([1, 2]), 101 * DAY_MS).values[:, 0].tolist() == [1, 1]


def test_other_features_have_a_state_of_their_own(tmp_path):
    folder = tmp_path / "state"
    for names in (("orders_ever",), ("orders_7d",)):
        declared = tuple(FEATURES[name] for name in names)
        with OnlineFeatures.open(folder, "0", declared, OnlineSettings("UTC")) as state:
            assert state.offsets == {}
            state.apply(one_batch(events_table([order(1, 100)])), {"s": 1})
            state.snapshot()
    assert len(list(folder.glob("*.sqlite"))) == 2


HISTORY = [order(1, 100), order(2, 110, user_key=2), order(3, 90)]


def test_a_rebuild_takes_late_events_in_and_clears_their_marks(opened):
    with opened() as state:
        state.apply(one_batch(events_table(HISTORY)), {"s": 3})
        assert state.rows(np.array([1]), 111 * DAY_MS).status.tolist() == [Status.STALE]
        edge = Edge(from_key=1, to_key=2, time_ms=105 * DAY_MS)
        events, edges = events_table(HISTORY), identity_table([edge]).select(EDGES.names)
        state.rebuild(events.to_batches(), edges.to_batches(), {"s": 3})
        found = state.rows(np.array([1]), 111 * DAY_MS)
        assert found.status.tolist() == [Status.PRESENT]
        assert found.values[0, 0] == 3
        assert state.offsets == {"s": 3}
    with opened() as state:
        assert state.rows(np.array([1]), 111 * DAY_MS).values[0, 0] == 3
        assert state.apply(one_batch(events_table([order(2, 110)])), {"s": 4}).count(
            Outcome.DUPLICATE
        )


def test_reads_and_blocks_go_on_while_a_rebuild_reads_and_nothing_of_them_is_lost(opened):
    state = opened()
    state.apply(one_batch(events_table(HISTORY[:2])), {"s": 2})

    def warehouse():
        yield from events_table(HISTORY[:2]).to_batches()
        for number in range(4, 10):
            later = events_table([order(number, 111, user_key=2)])
            state.apply(one_batch(later), {"s": number - 1})
        assert state.rows(np.array([2]), 112 * DAY_MS).values[0, 0] == 7
        yield from events_table([order(20, 110, user_key=2)]).to_batches()

    following = state.rebuild(warehouse(), [], {"s": 2})
    assert following == {"s": 8}
    assert state.rows(np.array([2]), 112 * DAY_MS).values[0, 0] == 8
    state.close()
    with opened() as state:
        assert state.offsets == {"s": 2}
        assert state.rows(np.array([2]), 112 * DAY_MS).values[0, 0] == 2


def test_a_rebuild_from_a_warehouse_that_lacks_events_of_the_state_is_refused(state):
    state.apply(one_batch(events_table(HISTORY[:2])), {"s": 2})
    with pytest.raises(FailedPreconditionError, match="all before 1, the state before 2"):
        state.rebuild([], [], {"s": 1})
    assert state.rows(np.array([2]), 112 * DAY_MS).values[0, 0] == 1


def test_a_rebuild_that_fails_leaves_the_state_as_it_was(state):
    state.apply(one_batch(events_table(HISTORY[:2])), {"s": 2})

    def broken():
        yield from events_table([order(9, 111)]).to_batches()
        raise OSError("the warehouse went away")

    with pytest.raises(OSError, match="went away"):
        state.rebuild(broken(), [], {"s": 2})
    assert state.rows(np.array([1]), 112 * DAY_MS).values[0, 0] == 1
