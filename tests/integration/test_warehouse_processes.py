"""The embedded warehouse in real processes: two at a time, killed, and leaving in a hurry."""

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.errors import FailedPreconditionError
from shared.warehouse import open_embedded, read_holder

ROOT = Path(__file__).resolve().parents[2]
BATCH_ROWS = 2_000

OPENING = """
import sys, threading
from pathlib import Path
import pyarrow as pa
from shared.warehouse import open_embedded
warehouse = open_embedded(Path(sys.argv[1]))
"""
INSERTING = f"""
warehouse.execute("CREATE TABLE batches (batch UInt64, n UInt64) ENGINE = MergeTree "
                  "PARTITION BY batch % 3 ORDER BY n")
batch = 0
while True:
    warehouse.insert("batches", pa.table({{
        "batch": pa.array([batch] * {BATCH_ROWS}, pa.uint64()),
        "n": pa.array(range({BATCH_ROWS}), pa.uint64()),
    }}))
    print(batch, flush=True)
    batch += 1
"""
HOLDING = """
warehouse.announce("127.0.0.1:7000")
print("open", flush=True)
sys.stdin.read()
"""
ASKING = """
def ask():
    warehouse.query("SELECT sum(number) FROM numbers(1000000000000)")
threading.Thread(target=ask, daemon=True).start()
while not warehouse.query("SELECT 1 FROM system.processes WHERE query LIKE '%sum(number)%' "
                          "AND query NOT LIKE '%processes%'").num_rows:
    pass
"""
# VmHWM and not ru_maxrss, which a process inherits from the test process that started it.
GROUPING = """
answer = warehouse.query("SELECT count() AS n FROM "
                         "(SELECT number FROM numbers(5000000) GROUP BY number)")
spilled = warehouse.query("SELECT toUInt64(sum(value)) AS n FROM system.events "
                          "WHERE event = 'ExternalAggregationWritePart'")
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
peak_mib = int(status["VmHWM"].split()[0]) // 1024
print(answer["n"].to_pylist()[0], spilled["n"].to_pylist()[0], peak_mib)
warehouse.close()
"""


@contextmanager
def child(script, folder):
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ended(script, folder):
    command = [sys.executable, "-c", script, str(folder)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("batch_count", [1, 4, 9])
def test_a_killed_process_loses_no_acknowledged_batch_and_tears_none(tmp_path, batch_count):
    with child(OPENING + INSERTING, tmp_path / "data") as process:
        acknowledged = [int(process.stdout.readline()) for _ in range(batch_count)]
        process.kill()
        acknowledged += [int(line) for line in process.stdout.read().split()]
    with open_embedded(tmp_path / "data") as warehouse:
        rows = warehouse.query(
            "SELECT batch, count() AS row_count, uniqExact(n) AS numbers "
            "FROM batches GROUP BY batch"
        ).to_pylist()
    assert {row["batch"] for row in rows} >= set(acknowledged)
    assert {(row["row_count"], row["numbers"]) for row in rows} == {(BATCH_ROWS, BATCH_ROWS)}


def test_a_second_process_is_told_who_holds_the_folder_and_where(tmp_path):
    with child(OPENING + HOLDING, tmp_path / "data") as process:
        process.stdout.readline()
        with pytest.raises(FailedPreconditionError, match=f"process {process.pid}") as caught:
            open_embedded(tmp_path / "data")
        assert caught.value.metadata["address"] == "127.0.0.1:7000"
        assert read_holder(tmp_path / "data").pid == process.pid
    assert read_holder(tmp_path / "data") is None
    open_embedded(tmp_path / "data").close()


@pytest.mark.parametrize(
    ("ending", "status"),
    [("sys.exit(3)", 3), ("raise SystemExit", 0), ("warehouse.close(0.1)", 0), ("", 0)],
)
def test_leaving_with_a_statement_in_a_daemon_thread_does_not_crash(tmp_path, ending, status):
    done = ended(OPENING + ASKING + ending, tmp_path / "data")
    assert done.returncode == status, done.stderr


def test_grouping_more_than_fits_goes_to_disk_and_not_past_the_limit(tmp_path):
    limited = OPENING.replace("(sys.argv[1])", "(sys.argv[1]), memory_bytes=128 * 1024**2")
    done = ended(limited + GROUPING, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    count, parts_on_disk, peak_mib = map(int, done.stdout.split())
    assert count == 5_000_000
    assert parts_on_disk >= 1
    assert peak_mib < 1024
