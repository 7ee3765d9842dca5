"""Buckets, ranks, identities, snapshots and reasons, by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from services.inference.domain.buckets import cut, pad
from services.inference.domain.persons import UNKNOWN, aliases
from services.inference.domain.prediction import ModelFacts
from services.inference.domain.reasons import Wording, ineligible_reason, strongest
from services.inference.domain.scoring import percentiles, prediction_ids
from services.inference.domain.snapshot import FeatureSnapshot, check_fits, ordered
from shared.errors import FailedPreconditionError

AS_OF = datetime(2011, 9, 10, tzinfo=UTC)


def snapshot(keys, **changes):
    fields = {
        "dataset": "datasets/d",
        "content_hash": "c0",
        "as_of": AS_OF,
        "known_at": AS_OF,
        "feature_set_version": "fs1",
        "eligible_rule": "orders_ever >= 1",
        "features": ("a", "b"),
        "user_keys": np.array(keys, np.uint64),
        "eligible": np.array([key % 2 == 0 for key in keys], bool),
        "values": np.array([[key, -float(key)] for key in keys], np.float32).reshape(-1, 2),
    }
    return FeatureSnapshot(**fields | changes)


def facts(**changes):
    fields = {
        "name": "models/m/versions/1",
        "features": ("a", "b"),
        "feature_set_version": "fs1",
        "dataset_hash": "t0",
        "horizon": timedelta(days=90),
    }
    return ModelFacts(**fields | changes)


@given(st.integers(0, 20_000), st.sets(st.sampled_from([8, 32, 128, 512, 4096]), min_size=1))
def test_every_row_falls_into_one_piece_that_its_bucket_holds(count, buckets):
    pieces = list(cut(count, tuple(sorted(buckets))))
    assert [start for start, _, _ in pieces] == [0, *[stop for _, stop, _ in pieces]][: len(pieces)]
    assert (pieces[-1][1] if pieces else 0) == count
    assert all(0 < stop - start <= bucket for start, stop, bucket in pieces)


def test_little_is_padded():
    assert list(cut(3, (8, 32))) == [(0, 3, 8)]
    assert list(cut(40, (8, 32, 128))) == [(0, 40, 128)]
    assert list(cut(31, (8, 128))) == [(0, 8, 8), (8, 16, 8), (16, 24, 8), (24, 31, 8)]


def test_padding_is_missing_values_and_a_full_block_is_not_copied():
    block = np.ones((2, 3), np.float32)
    assert pad(block, 2) is block
    assert np.isnan(pad(block, 4)[2:]).all()


def test_ranks_of_equal_probabilities_are_equal_and_their_mean_is_fifty():
    assert percentiles(np.array([0.2, 0.2, 0.2, 0.2], np.float32)).tolist() == [50.0] * 4
    assert percentiles(np.zeros(0, np.float32)).tolist() == []
    assert percentiles(np.random.default_rng(0).random(999)).mean() == pytest.approx(50.0)


def test_a_prediction_id_is_the_hash_of_version_instant_and_user():
    [found] = prediction_ids("models/m/versions/1", AS_OF, [7])
    assert found == xxhash.xxh3_128_hexdigest(b"models/m/versions/1|1315612800000|7")


def test_users_are_found_by_key_and_strangers_are_told_apart():
    held = snapshot([2, 5, 2**64 - 1])
    slots = held.slots(np.array([5, 3, 2**64 - 1, 0], np.uint64))
    assert slots.tolist() == [1, UNKNOWN, 2, UNKNOWN]
    rows, eligible = held.read(slots)
    assert rows[0].tolist() == [5.0, -5.0]
    assert np.isnan(rows[1]).all()
    assert eligible.tolist() == [False, False, False, False]
    assert held.read(np.array([0]))[1].tolist() == [True]


def test_nobody_is_found_in_an_empty_snapshot():
    assert snapshot([]).slots(np.array([1, 2], np.uint64)).tolist() == [UNKNOWN, UNKNOWN]


def test_who_turned_out_to_be_one_person_is_found_under_every_key():
    pairs = np.array([[5, 70], [70, 71], [80, 81], [2, 90], [71, 5]], np.uint64)
    also = aliases(np.array([2, 5, 9], np.uint64), pairs[:, 0], pairs[:, 1])
    assert dict(zip(also.keys.tolist(), also.slots.tolist(), strict=True)) == {70: 1, 71: 1, 90: 0}
    held = replace(snapshot([2, 5, 9]), also=also)
    keys = np.array([71, 5, 80, 90, 9, 1], np.uint64)
    assert held.slots(keys).tolist() == [1, 1, UNKNOWN, 0, 2, UNKNOWN]


def test_nobody_has_another_key_without_pairs():
    none = np.zeros(0, np.uint64)
    assert aliases(np.array([2, 5], np.uint64), none, none).keys.tolist() == []


def test_rows_are_put_in_order_of_user():
    held = ordered(snapshot([9, 2, 4]))
    assert held.user_keys.tolist() == [2, 4, 9]
    assert held.values[:, 0].tolist() == [2.0, 4.0, 9.0]
    assert held.eligible.tolist() == [True, True, False]
    assert ordered(held) is held


def test_two_rows_for_a_user_are_refused():
    with pytest.raises(FailedPreconditionError) as caught:
        ordered(snapshot([4, 2, 4]))
    assert caught.value.reason == "DATASET_ROWS_NOT_UNIQUE"


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"features": ("b", "a")}, "feature 0 is a, not b"),
        ({"features": ("a",)}, "2 features, not 1"),
        ({"feature_set_version": "fs2"}, "fs1, not fs2"),
    ],
)
def test_features_that_differ_from_the_model_are_refused_with_the_difference(changes, difference):
    check_fits(snapshot([2]), facts())
    with pytest.raises(FailedPreconditionError, match=difference) as caught:
        check_fits(snapshot([2]), facts(**changes))
    assert caught.value.reason == "FEATURES_DIFFER"


def words(feature, value, currency):
    return f"{feature} {value:g} {currency}"


WORDING = Wording(words, {"a": "days", "b": "days", "c": "orders", "d": "orders"}, "GBP")


def told(contributions, values, features="abcd"):
    [reasons] = strongest(
        np.array([contributions], np.float32), np.array([values], np.float32), features, WORDING
    )
    return [(reason.text, pytest.approx(reason.contribution)) for reason in reasons]


def test_reasons_come_strongest_first_and_trifles_are_left_out():
    assert told([0.5, -2.0, 0.001, 0.1], [1, 2, 3, 4]) == [
        ("b 2 GBP", -2.0),
        ("a 1 GBP", 0.5),
        ("d 4 GBP", 0.1),
    ]


def test_features_that_tell_the_same_fact_are_one_reason_told_by_the_one_that_pulls_hardest():
    assert told([0.5, 1.0, -0.25, 0.125], [3, 3, 3, 3]) == [
        ("b 3 GBP", 1.5),
        ("c 3 GBP", -0.125),
    ]
    missing = float("nan")
    assert told([1.0, -0.25, 0.5, 0.0], [missing, missing, 1, 2])[0] == ("a nan GBP", 0.75)


def test_a_fact_whose_features_cancel_is_no_reason():
    assert told([1.0, -1.0, 0.5, 0.0], [3, 3, 1, 2]) == [("c 1 GBP", 0.5)]


def test_a_feature_that_is_no_longer_declared_is_told_by_its_name():
    assert told([1.0, 0.5], [2.5, float("nan")], ("old", "older")) == [
        ("old is 2.5", 1.0),
        ("older is missing", 0.5),
    ]


def test_no_contribution_means_no_reason():
    assert told([0.0, 0.0], [1, 2], "ab") == []


def test_why_a_user_is_not_eligible_names_an_unusual_rule():
    assert ineligible_reason("orders_ever >= 3") == "does not meet the rule orders_ever >= 3"
