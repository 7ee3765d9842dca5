"""With its labels shuffled between users nothing can be learned: AUC is 0.5 within chance."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from services.feature.adapters.history import EventHistory
from tests.support.histories import DAY_MS, Row
from tests.support.shops import AS_OF_DAY, FIRST_DAY, ZONE, Shop, build

ROUNDS = 8


def shop_of_habits(seed: int, users: int = 400) -> Shop:
    """Draw customers who order at rates of their own, so that the past tells of the future."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(1, users + 1):
        gap = rng.gamma(2.0, 20.0) + 2
        time = FIRST_DAY + rng.uniform(0, 60)
        while time < AS_OF_DAY:
            micros = int(rng.lognormal(3, 0.5) * 1e6)
            row = Row(
                message_id=f"{user}-{len(rows)}",
                event="Order Completed",
                user_key=user,
                time_ms=int(time * DAY_MS),
                gross_micros=micros,
                net_micros=micros,
            )
            rows.append(row)
            time += rng.exponential(gap)
    return Shop(tuple(rows))


@pytest.fixture(scope="module")
def rows(engine, tmp_path_factory):
    for table in ("events", "identity"):
        engine.execute(f"TRUNCATE TABLE {table}")
    shop_of_habits(11).store(engine)
    reader = build(EventHistory(engine, ZONE), tmp_path_factory.mktemp("shuffle") / "a", "training")
    return reader.arrays()


def auc(rows, labels, seed) -> float:
    """Fit on half of the users, judge on the others at their last instant."""
    rng = np.random.default_rng(seed)
    users = np.unique(rows.user_keys)
    train_users = rng.choice(users, len(users) // 2, replace=False)
    is_train = np.isin(rows.user_keys, train_users)
    is_test = ~is_train & (rows.as_ofs == rows.as_ofs.max())
    features = np.log1p(np.abs(np.nan_to_num(rows.features.astype(np.float64))))
    mean, std = features[is_train].mean(0), features[is_train].std(0) + 1e-9
    scaled = (features - mean) / std
    model = LogisticRegression(C=0.05, max_iter=400)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(scaled[is_train], labels[is_train])
    return float(roc_auc_score(labels[is_test], model.predict_proba(scaled[is_test])[:, 1]))


def shuffled(rows, seed):
    """Give each user the labels of another, keeping how labels of a user hang together."""
    rng = np.random.default_rng(seed)
    order = {user: place for place, user in enumerate(np.unique(rows.user_keys))}
    places = np.array([order[user] for user in rows.user_keys])
    instants = np.unique(rows.as_ofs, return_inverse=True)[1]
    table = np.zeros((len(order), instants.max() + 1), np.uint8)
    table[places, instants] = rows.active
    return table[rng.permutation(len(order))][places, instants]


def test_with_its_own_labels_the_future_can_be_told(rows):
    assert auc(rows, rows.active, 0) > 0.65


def test_with_shuffled_labels_auc_is_a_half_within_three_standard_errors(rows):
    found = [auc(rows, shuffled(rows, seed), seed) for seed in range(ROUNDS)]
    error = np.std(found, ddof=1) / np.sqrt(ROUNDS)
    assert abs(np.mean(found) - 0.5) <= 3 * error
