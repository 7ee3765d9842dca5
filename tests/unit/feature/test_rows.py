import numpy as np
import pyarrow as pa
import pytest

from services.feature.usecases.rows import collect


def batch(rows) -> pa.RecordBatch:
    keys, indices = zip(*rows, strict=True) if rows else ((), ())
    return pa.record_batch(
        {
            "user_key": pa.array(keys, pa.uint64()),
            "as_of_index": pa.array(indices, pa.uint16()),
            "orders_ever": pa.array([10.0 * k + i for k, i in rows], pa.float32()),
            "spend_micros": pa.array([100 * k + i for k, i in rows], pa.int64()),
        }
    )


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(1, 0)],
        [(2, 0), (2, 1), (1, 1), (1, 2)],
        [(1, 0), (1, 1), (1, 4), (1, 5), (7, 0), (1, 2), (1, 3)],
        [(1, 4), (1, 2), (2, 2), (1, 0), (1, 1), (1, 3)],
    ],
)
def test_rows_come_out_by_user_and_instant_however_they_come_in(rows):
    block = collect([batch(rows[:3]), batch(rows[3:])], ["orders_ever"], has_label=True)
    ordered = sorted(rows)
    assert list(zip(block.user_keys.tolist(), block.indices.tolist(), strict=True)) == ordered
    assert block.features[:, 0].tolist() == [10.0 * k + i for k, i in ordered]
    assert block.spend_micros is not None
    assert block.spend_micros.tolist() == [100 * k + i for k, i in ordered]


def test_random_runs_come_out_in_order():
    rng = np.random.default_rng(3)
    rows = [(int(user), index) for user in range(20) for index in range(12)]
    for _ in range(20):
        cuts = sorted(rng.choice(len(rows), 40, replace=False).tolist())
        runs = [rows[low:high] for low, high in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
        rng.shuffle(runs)
        mixed = [row for run in runs for row in run]
        block = collect([batch(mixed)], ["orders_ever"], has_label=False)
        assert list(zip(block.user_keys.tolist(), block.indices.tolist(), strict=True)) == rows
