"""A small made-up shop, as a report sees it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import orjson
import pyarrow as pa
import pytest

from pipelines.next_orders import PARTS, WEEKS, Due, EarlierOrders, NextOrders
from pipelines.report import (
    DatasetFacts,
    ModelFacts,
    MonthSales,
    RejectCount,
    ReportInputs,
    WindowSales,
    WorkspaceTotals,
)
from pipelines.segments.discovered import Discovered, Map
from pipelines.segments.profiles import Facts, profiles_of
from shared.features import words

AS_OF = datetime(2025, 7, 1, tzinfo=UTC)
MICROS = 1_000_000


def _predictions(rng, keys, active, spend_if_active, eligible):
    users = len(keys)
    parts = rng.dirichlet([1.5, 1.0, 0.8], users) * active[:, None]
    segments = np.column_stack([1 - active, parts])
    order = np.sort(active)
    below = np.searchsorted(order, active, side="left") + np.searchsorted(
        order, active, side="right"
    )
    reasons = [
        orjson.dumps(
            [
                {
                    "feature": "recency_days",
                    "text": f"last ordered {index % 200} days ago",
                    "contribution": 1.2 if index % 3 else -0.9,
                },
                {
                    "feature": "orders_365d",
                    "text": f"{1 + index % 9} orders in the last year",
                    "contribution": 0.4,
                },
                {
                    "feature": "spend_trend",
                    "text": "spends less than in the months before",
                    "contribution": -0.2,
                },
            ]
        ).decode()
        for index in range(users)
    ]
    return pa.table(
        {
            "user_key": keys,
            "active_probability": active,
            "churn_probability": 1 - active,
            "percentile": below * 50.0 / users,
            "expected_value_micros": np.rint(active * spend_if_active * MICROS).astype(np.int64),
            "segment_probabilities": pa.array(segments.tolist(), pa.list_(pa.float64())),
            "segment": segments.argmax(axis=1).astype(np.int8),
            "value_low_micros": np.zeros(users, np.int64),
            "value_high_micros": np.rint(3 * spend_if_active * MICROS).astype(np.int64),
            "eligible": eligible,
            "ineligible_reason": np.where(eligible, "", "has not bought anything yet"),
            "reasons": [text if ok else "[]" for text, ok in zip(reasons, eligible, strict=True)],
        }
    )


def _metrics(shift):
    values = {
        "auc": 0.79,
        "pr_auc": 0.66,
        "log_loss": 0.47,
        "brier": 0.15,
        "accuracy": 0.78,
        "recall": 0.86,
        "precision": 0.83,
        "f1": 0.845,
        "mae": 41.2,
        "spearman": 0.52,
        "normalised_gini": 0.71,
        "segment_accuracy": 0.74,
        "segment_macro_f1": 0.41,
        "segment_log_loss": 0.71,
    }
    return {name: {"value": value - shift, "se": 0.011} for name, value in values.items()}


def _evaluation(users):
    rates = [0.82, 0.64, 0.47, 0.36, 0.27, 0.19, 0.13, 0.09, 0.06, 0.03]
    mean = sum(rates) / 10
    size = users // 10
    lift, found = [], 0.0
    for number, rate in enumerate(rates, start=1):
        found += rate / (10 * mean)
        lift.append(
            {
                "decile": number,
                "users": size,
                "active_rate": rate,
                "lift": rate / mean,
                "gain": found,
                "spend": 900.0 * rate,
            }
        )
    recency = {
        name: entry
        for name, entry in _metrics(0.06).items()
        if name in ("auc", "pr_auc", "accuracy", "recall", "precision", "f1")
    }
    return {
        "fold": {
            "train_as_ofs": ["2025-01-02T00:00:00+00:00"],
            "test_as_of": "2025-04-02T00:00:00+00:00",
            "horizon_days": 90,
            "row_count": users,
            "positive_rate": mean,
        },
        "metrics": {
            "model": _metrics(0.0),
            "logistic_regression": _metrics(0.006),
            "recency_rule": recency,
        },
        "comparisons": [
            {
                "metric": "auc",
                "baseline": "logistic_regression",
                "difference": 0.006,
                "se": 0.004,
                "low": -0.002,
                "high": 0.013,
            },
            {
                "metric": "auc",
                "baseline": "recency_rule",
                "difference": 0.06,
                "se": 0.008,
                "low": 0.044,
                "high": 0.076,
            },
        ],
        "lift": lift,
        "calibration": [
            {"bin": number, "predicted": rate * 0.95 + 0.01, "observed": rate, "count": size}
            for number, rate in enumerate(reversed(rates), start=1)
        ],
        "forecast": {
            "predicted_active": users * mean * 1.04,
            "actual_active": users * mean,
            "predicted_spend_micros": 70_000 * MICROS,
            "actual_spend_micros": 73_500 * MICROS,
        },
    }


def _months():
    texts = [f"2024-{number:02d}" for number in range(1, 13)]
    texts += [f"2025-{number:02d}" for number in range(1, 7)]
    return tuple(
        MonthSales(text, 300 + 20 * place, 200 + 10 * place, amount * MICROS, amount * 950_000)
        for place, (text, amount) in enumerate(
            zip(
                texts,
                [17, 18, 19, 20, 19, 21, 27, 28, 33, 38, 55, 79, 43, 35, 32, 27, 27, 29],
                strict=True,
            )
        )
        for amount in [amount * 1000]
    )


def _totals(rejects):
    return WorkspaceTotals(
        event_count=61_374,
        user_count=1999,
        order_count=11_263,
        gross_micros=567_000 * MICROS,
        net_micros=541_234 * MICROS,
        anonymous_order_count=312,
        anonymous_gross_micros=11_340 * MICROS,
        line_count=0,
        anonymous_line_count=0,
        rejected_count=sum(each.count for each in rejects),
        rejects=rejects,
        first_event_time=datetime(2024, 1, 8, 0, 9, tzinfo=UTC),
        last_event_time=datetime(2025, 6, 30, 23, 40, tzinfo=UTC),
        months=_months(),
    )


def _dataset(rows, users, as_ofs):
    return DatasetFacts(
        content_hash="5e0f" * 16,
        row_count=rows,
        user_count=users,
        feature_count=42,
        feature_set_version="a1b2c3d4",
        as_of_times=tuple(AS_OF - timedelta(days=90 + 30 * place) for place in range(as_ofs)),
        event_count=61_374,
        unique_event_count=61_374,
    )


def _segments(keys, eligible, active, spend, recency, orders):
    """Three segments by plain rules; every ninth customer is new, and every fourth has moved."""
    users = np.arange(len(keys))
    group = np.where(orders > 3, 0, np.where(active > 0.3, 1, 2))
    features = {
        "recency_days": recency,
        "orders_ever": orders.astype(float),
        "gross_365d": orders * spend * 0.8,
        "basket_mean": spend * 0.8,
    }
    facts = Facts(
        {name: column[eligible] for name, column in features.items()},
        active[eligible],
        (active * spend)[eligible],
    )
    profiles = profiles_of(facts, group[eligible], 3, partial(words, currency="USD"))
    segment = np.where(eligible, np.array([1, 2, 4])[group], 0)
    moved = np.where(eligible, np.array([1, 2, 4])[(group + 1) % 3], 0)
    shown = np.flatnonzero(eligible)[:40]
    return Discovered(
        names={
            0: "Not ordered yet",
            1: "Frequent big baskets",
            2: "Recent buyers",
            4: "Lapsed one-time buyers",
        },
        profiles=dict(zip((1, 2, 4), profiles, strict=True)),
        user_keys=keys,
        segment=segment,
        previous=np.where(users % 9 == 4, -1, np.where(users % 4 == 1, moved, segment)),
        period_days=90,
        map=Map(
            tuple(np.round(active[shown], 3).tolist()),
            tuple(np.round(np.log(spend[shown]), 3).tolist()),
            tuple(segment[shown].tolist()),
            0.61,
        ),
        appeared=("Lapsed one-time buyers",),
        gone=("New small baskets",),
    )


def _due(predictions, orders, recency, keys):
    """Chances that rise evenly to the main job's; pauses between a third and all of the silence."""
    active = predictions["active_probability"].to_numpy()
    chances = active[:, None] * np.arange(1, PARTS + 1) / PARTS
    place = {key: at for at, key in enumerate(keys.tolist())}
    at = np.array([place[key] for key in predictions["user_key"].to_pylist()])
    gaps = np.where(orders > 1, recency * np.where(np.arange(len(keys)) % 5, 1.0, 1 / 3), np.nan)
    return Due(
        orders=NextOrders(
            user_keys=predictions["user_key"].to_numpy(),
            eligible=predictions["eligible"].to_numpy(zero_copy_only=False),
            chances=chances,
            reasons_json=tuple(predictions["reasons"].to_pylist()),
        ),
        usual_gap_days=gaps[at],
        last_window=EarlierOrders(AS_OF - timedelta(days=90), 350, (12,) * WEEKS),
        year_ago=EarlierOrders(AS_OF - timedelta(days=360), 200, tuple(range(WEEKS))),
        measured={"coverage": {"value": 0.79, "se": 0.01}},
    )


@pytest.fixture(scope="session")
def inputs():
    """The inputs of a report on 400 customers, 16 of whom have not ordered yet."""
    return shop_inputs()


def shop_inputs(users=400, seed=3, offset=1):
    rng = np.random.default_rng(seed)
    keys = (np.arange(users, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(offset)) % (
        np.uint64(2**61)
    )
    eligible = np.arange(users) % 25 != 7
    active = np.where(eligible, rng.beta(0.7, 1.7, users), 0.05)
    spend = np.exp(rng.normal(4, 0.8, users))
    orders = np.where(eligible, 1 + rng.poisson(active * 8), 0)
    window = timedelta(days=90)
    by_key = np.argsort(keys)
    predictions = _predictions(rng, keys, active, spend, eligible).take(by_key)
    recency = np.where(eligible, rng.exponential(90, users), np.nan)
    return ReportInputs(
        source="simulator",
        is_simulated=True,
        as_of_time=AS_OF,
        horizon_days=90,
        currency="USD",
        time_zone="UTC",
        totals=_totals(
            (
                RejectCount("BAD_TIMESTAMP", "timestamp", 12),
                RejectCount("NEGATIVE_PRICE", "unit_price", 2),
            )
        ),
        last_window=WindowSales(
            AS_OF - window, AS_OF, 1703, 83_400 * MICROS, 79_000 * MICROS, 1_650 * MICROS
        ),
        year_ago_window=WindowSales(
            AS_OF - timedelta(days=365),
            AS_OF - timedelta(days=275),
            1707,
            87_800 * MICROS,
            84_000 * MICROS,
            2_100 * MICROS,
        ),
        training=_dataset(15_000, 1800, 10),
        scoring=_dataset(users, users, 1),
        model=ModelFacts("models/customer_90d/versions/1", "5e0f" * 16, (41_500_000, 96_250_000)),
        evaluation=_evaluation(users),
        predictions=predictions,
        history=pa.table(
            {
                "user_key": keys,
                "recency_days": recency,
                "order_count": orders,
                "gross_micros": np.rint(orders * spend * 0.8 * MICROS).astype(np.int64),
            }
        ),
        source_ids={key: f"customer-{place:05d}" for place, key in enumerate(keys.tolist())},
        segments=_segments(keys, eligible, active, spend, recency, orders),
        due=_due(predictions, orders, recency, keys),
    )


@pytest.fixture(scope="session")
def short_inputs(inputs):
    """The same shop with less than a year of history."""
    totals = replace(
        inputs.totals,
        first_event_time=AS_OF - timedelta(days=280),
        months=inputs.totals.months[-9:],
        rejected_count=0,
        rejects=(),
    )
    return replace(inputs, totals=totals, year_ago_window=None, is_simulated=False)


@pytest.fixture(scope="session")
def make_inputs():
    """Makes the inputs of other shops: `make_inputs(users=…, seed=…, offset=…)`."""
    return shop_inputs
