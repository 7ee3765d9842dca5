"""A planted leak stops the fit, and the message names it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from services.training.runs.leaks import require_apart, require_blind, require_purged
from services.training.runs.members import fit_members
from services.training.runs.rows import Rows, groups
from services.training.runs.run import run_training
from shared.dataset import DatasetReader, FoldSpec
from shared.errors import FailedPreconditionError
from tests.unit.training import shop
from tests.unit.training.conftest import SMALL, Heard

START = datetime(2024, 1, 1, tzinfo=UTC)


def rows_of(arrays, features=None):
    return Rows(
        arrays.user_keys,
        arrays.as_ofs.astype(np.int64),
        arrays.eligible,
        arrays.features if features is None else features,
        arrays.spend_micros / 1e6,
    )


def test_a_column_of_the_future_is_named():
    arrays = shop.arrays()
    future = np.where(arrays.spend_micros > 0, arrays.spend_micros / 1e6, np.nan)
    planted = np.column_stack([arrays.features, future]).astype(np.float32)
    with pytest.raises(FailedPreconditionError, match="'gross_next_30d' alone tells who orders"):
        require_blind(rows_of(arrays, planted), (*shop.FEATURES, "gross_next_30d"))


def test_honest_columns_pass():
    require_blind(rows_of(shop.arrays()), shop.FEATURES)


def test_a_run_over_a_column_of_the_future_stops_before_it_fits(tmp_path, monkeypatch):
    honest = shop.arrays()
    honest.features[:, 4] = honest.spend_micros
    monkeypatch.setattr(shop, "arrays", lambda: honest)
    shop.write(tmp_path)
    heard = Heard()
    with pytest.raises(FailedPreconditionError, match="'noise' alone tells who orders"):
        run_training(DatasetReader(tmp_path), "customers", SMALL, heard)
    assert heard.losses == []


def test_a_training_window_that_reaches_past_the_judged_instant_is_named():
    train = (START, START + timedelta(days=61))
    fold = FoldSpec("evaluation", train, (START + timedelta(days=90),), (1, 2))
    with pytest.raises(FailedPreconditionError, match="2024-03-02, whose window of 30 days"):
        require_purged(fold, 30)
    require_purged(FoldSpec("evaluation", train, (START + timedelta(days=91),), (1, 2)), 30)


def test_a_user_in_both_halves_of_a_cross_fit_is_named():
    keys = np.array([7, 8, 7], np.uint64)
    with pytest.raises(FailedPreconditionError, match="user 0000000000000007 is in two groups"):
        require_apart(keys, np.array([0, 1, 1]))


def test_a_cross_fit_that_tears_users_apart_is_stopped(monkeypatch):
    monkeypatch.setattr(
        "services.training.runs.ensemble.groups",
        lambda keys, count: np.arange(len(keys)) % count,
    )
    with pytest.raises(FailedPreconditionError, match="is in two groups of the cross-fit"):
        fit_members(rows_of(shop.arrays()), shop.LIMITS, SMALL, horizon_days=30)


def test_groups_by_user_are_apart():
    keys = shop.arrays().user_keys
    require_apart(keys, groups(keys, 5))


def test_a_handful_of_buyers_is_no_evidence_of_a_leak():
    arrays = shop.arrays(user_count=8)
    arrays.features[:, 0] = arrays.spend_micros
    require_blind(rows_of(arrays), shop.FEATURES)
