"""Every row is seen once an epoch, in an order that only the seed and the epoch decide."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.engine.environment import worker_environment
from services.training.engine.rows import (
    Arrays,
    Plan,
    ahead,
    bucket_lengths,
    plan_epoch,
    plan_in_order,
    take,
)
from shared.errors import InvalidArgumentError


def numbered(count, lengths=None):
    """Rows that carry their own number, as two-step sequences where lengths are given."""
    rows = np.arange(count, dtype=np.float32)
    inputs = {"features": rows[:, None]}
    if lengths is None:
        return Arrays(inputs, {"label": rows})
    steps = np.repeat(rows[:, None], 40, axis=1)
    return Arrays(inputs | {"tokens": steps}, {"label": rows}, None, lengths, ("tokens",))


@given(st.integers(1, 200), st.integers(1, 50), st.integers(0, 9), st.integers(0, 9))
def test_every_row_is_seen_exactly_once_an_epoch(count, size, seed, epoch):
    plans = plan_epoch(numbered(count), size, seed, epoch)
    seen = np.concatenate([plan.rows for plan in plans])
    assert sorted(seen.tolist()) == list(range(count))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(1, 9))
def test_rows_of_like_length_share_a_batch_that_holds_all_their_steps(lengths, size):
    arrays = numbered(len(lengths), np.array(lengths))
    plans = plan_epoch(arrays, size, 0, 0)
    assert sorted(np.concatenate([plan.rows for plan in plans])) == list(range(len(lengths)))
    for plan in plans:
        batch = take(arrays, plan, size)
        assert batch.inputs["tokens"].shape == (size, plan.length)
        assert max(np.array(lengths)[plan.rows]) <= plan.length
        assert min(np.array(lengths)[plan.rows]) > plan.length / 2 or plan.length == 8


def test_epochs_and_seeds_differ_and_repeat():
    orders = [
        tuple(np.concatenate([plan.rows for plan in plan_epoch(numbered(50), 7, seed, epoch)]))
        for seed, epoch in [(0, 0), (0, 1), (1, 0), (0, 0)]
    ]
    assert orders[0] == orders[3]
    assert len(set(orders)) == 3


def test_buckets_are_powers_of_two_up_to_the_longest():
    assert bucket_lengths(np.array([0, 1, 8, 9, 16, 17, 70]), 100).tolist() == [
        8,
        8,
        8,
        16,
        16,
        32,
        100,
    ]


def test_a_short_batch_is_filled_with_its_own_rows_at_weight_zero():
    batch = take(numbered(10), Plan(np.array([3, 4])), 5)
    assert batch.inputs["features"][:, 0].tolist() == [3, 4, 3, 4, 3]
    assert batch.targets["label"].tolist() == [3, 4, 3, 4, 3]
    assert batch.weights.tolist() == [1, 1, 0, 0, 0]


def test_evaluation_goes_through_the_rows_in_their_order():
    plans = plan_in_order(numbered(10), 4)
    assert [plan.rows.tolist() for plan in plans] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_columns_of_different_length_are_refused_by_name():
    with pytest.raises(InvalidArgumentError, match="label has 2 rows where 3"):
        Arrays({"features": np.zeros((3, 1), np.float32)}, {"label": np.zeros(2, np.float32)})


def test_what_is_made_ahead_comes_in_order():
    assert list(ahead(lambda n: n * n, range(20))) == [n * n for n in range(20)]


def test_an_error_is_raised_where_its_result_would_have_come():
    made = ahead(lambda n: 1 // (2 - n), range(5))
    assert next(made) == 0
    assert next(made) == 1
    with pytest.raises(ZeroDivisionError):
        next(made)


def test_stopping_early_ends_the_thread():
    made = ahead(lambda n: n, range(1000))
    assert next(made) == 0
    made.close()
    assert not any(thread.name == "next-batch" for thread in threading.enumerate())


def test_the_launcher_keeps_freed_memory_unless_told_otherwise():
    assert worker_environment({"A": "b"}) == {
        "A": "b",
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": "100000000000",
    }
    assert worker_environment({"MALLOC_MMAP_MAX_": "7"})["MALLOC_MMAP_MAX_"] == "7"


def test_inputs_are_augmented_by_row_and_epoch_where_they_are_fitted_to_and_only_there():
    def marked(inputs, rows, seed, epoch):
        return {"features": inputs["features"] + 1000 * epoch + 100 * seed + rows[:, None]}

    arrays = replace(numbered(10), augment=marked)
    for plan in plan_epoch(arrays, 4, 2, 3):
        plain = take(numbered(10), plan, 4).inputs["features"]
        changed = take(arrays, plan, 4).inputs["features"]
        rows = np.resize(plan.rows, 4)[:, None]
        np.testing.assert_array_equal(changed, plain + 3200 + rows)
    for plan in plan_in_order(arrays, 4):
        looked_at = take(arrays, plan, 4).inputs["features"]
        np.testing.assert_array_equal(looked_at, take(numbered(10), plan, 4).inputs["features"])
