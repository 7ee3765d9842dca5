"""A made-up training dataset whose truth is known, small enough to train on in seconds."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from shared.dataset import DatasetArrays, DatasetWriter, FeatureColumn, FoldSpec, Manifest

HORIZON_DAYS = 30
START = datetime(2024, 1, 1, tzinfo=UTC)
FEATURES = (
    "recency_days",
    "orders_ever",
    "gross_ever",
    "gap_mean_days",
    "noise",
    "order_days_ever",
    "tenure_days",
)
PREDICTIONS = ("churn_90d", "segment_90d", "value_90d")
LIMITS = (20.0, 60.0)


def arrays(user_count=300, instants=5, seed=0, shuffled=False):
    """Rows ordered by user, then instant; recency drives activity, past spend drives spend."""
    rng = np.random.default_rng(seed)
    rows = user_count * instants
    keys = np.repeat(np.sort(rng.choice(2**40, user_count, replace=False)), instants)
    days = np.tile(np.arange(instants) * HORIZON_DAYS, user_count)
    as_ofs = np.datetime64(START.replace(tzinfo=None), "ms") + days * np.timedelta64(1, "D")
    liveliness = np.repeat(rng.normal(size=user_count), instants) + 0.5 * rng.normal(size=rows)
    size = np.repeat(rng.normal(size=user_count), instants)
    features = np.stack(
        [
            30.0 * np.exp(-liveliness),
            np.ceil(3.0 * np.exp(0.5 * liveliness)),
            50.0 * np.exp(size + 0.3 * rng.normal(size=rows)),
            np.where(rng.random(rows) < 0.3, np.nan, 20.0 * np.exp(-0.5 * liveliness)),
            rng.normal(size=rows),
        ],
        axis=1,
    )
    orders = features[:, 1]
    tenure = np.where(orders > 1, features[:, 0] + 40.0, features[:, 0])
    features = np.column_stack([features, orders, tenure]).astype(np.float32)
    active = rng.random(rows) < 1.0 / (1.0 + np.exp(-1.5 * liveliness))
    spend = np.where(active, 30.0 * np.exp(0.8 * size + 0.5 * rng.normal(size=rows)), 0.0)
    eligible = rng.random(rows) >= 0.05
    if shuffled:
        spend = rng.permutation(spend)
    micros = np.round(spend * 1e6).astype(np.int64)
    return DatasetArrays(
        keys.astype(np.uint64),
        as_ofs.astype("datetime64[ms]"),
        eligible,
        features,
        (micros > 0).astype(np.uint8),
        micros,
    )


def write(folder: Path, **choices) -> Manifest:
    """Write the rows as a dataset with an evaluation and a final fold."""
    return write_rows(folder, arrays(**choices))


def write_rows(folder: Path, rows: DatasetArrays, **changes) -> Manifest:
    """Write these rows, with some values of the manifest changed."""
    instants = sorted({each.astype("datetime64[ms]").item() for each in rows.as_ofs})
    instants = tuple(each.replace(tzinfo=UTC) for each in instants)
    micros = tuple(round(limit * 1e6) for limit in LIMITS)
    folds = (
        FoldSpec("evaluation", instants[:-1], instants[-1:], micros),
        FoldSpec("final", instants, (), micros),
    )
    with DatasetWriter(folder, FEATURES) as writer:
        writer.append(rows)
        return writer.finish(
            lambda written: Manifest(
                name="datasets/shop",
                purpose="training",
                **{"predictions": PREDICTIONS, **changes},
                features=tuple(FeatureColumn(name, name, "count", "") for name in FEATURES),
                feature_set_version="test",
                as_ofs=instants,
                known_at=instants[-1] + timedelta(days=HORIZON_DAYS),
                horizon_days=HORIZON_DAYS,
                time_zone="UTC",
                currency="GBP",
                eligible_rule="orders_ever >= 1",
                folds=folds,
                row_count=written.row_count,
                user_count=written.user_count,
                content_hash=written.content_hash,
                shards=written.shards,
                statistics=written.statistics,
                sql="",
            )
        )
