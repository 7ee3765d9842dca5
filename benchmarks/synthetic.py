"""Synthetic events of a shop for measuring; no customer of any kind is meant."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NAMES = ("Product Viewed", "Product Added", "Order Completed", "Order Refunded", "Page Viewed")
SHARES = (0.78, 0.10, 0.08, 0.02, 0.02)
EVENTS_A_USER = 50
DAYS = 730
FIRST_DAY = 18_993  # 2022-01-01

_DAY_MS = 86_400_000


def shop_events(count: int, seed: int = 7) -> pa.Table:
    """Return events in the order they happened, with the columns of the table `events`.

    Users differ in how often they come, start at any time in two years and go on to the end.
    """
    rng = np.random.default_rng(seed)
    users = max(count // EVENTS_A_USER, 1)
    keys = rng.integers(1, 2**63, size=users, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    rates = rng.gamma(0.7, 1.0, users)
    user = rng.choice(users, size=count, p=rates / rates.sum())
    start = rng.integers(0, DAYS - 230, users)[user]
    day = FIRST_DAY + start + rng.random(count) * (DAYS - start)
    order = np.argsort(day, kind="stable")
    user, time = user[order], (day[order] * _DAY_MS).astype(np.int64)

    kind = rng.choice(len(NAMES), size=count, p=SHARES)
    is_order, is_refund = kind == 2, kind == 3
    gross = np.where(is_order, (rng.lognormal(3.5, 0.8, count) * 100).astype(np.int64), 0) * 10_000
    back = np.where(is_refund, (rng.lognormal(3.0, 0.8, count) * 100).astype(np.int64), 0) * 10_000
    lines = np.where(is_order, rng.integers(1, 5, count), (kind < 2).astype(np.int64))
    offsets = pa.array(np.concatenate([[0], np.cumsum(lines)]).astype(np.int32))
    product = pa.array((rng.zipf(1.3, int(lines.sum())) % 5_000).astype(np.int32))
    names = pa.array([f"sku-{number:05d}" for number in range(5_000)])
    products = pa.DictionaryArray.from_arrays(product, names).cast(pa.string())
    quantities = pa.array(rng.integers(1, 4, int(lines.sum())).astype(np.float64))
    moment = pa.array(time, pa.timestamp("ms", "UTC"))
    numbers = pc.cast(pa.array(np.arange(count)), pa.string())
    return pa.table(
        {
            "message_id": pc.binary_join_element_wise("event-", numbers, ""),
            "source": pa.repeat("benchmark", count),
            "type": pa.repeat("track", count),
            "event": pa.DictionaryArray.from_arrays(
                pa.array(kind.astype(np.int8)), pa.array(NAMES)
            ).cast(pa.string()),
            "user_key": pa.array(keys[user]),
            "event_time": moment,
            "ingest_time": moment,
            "order_part": pa.array((rng.random(count) < 0.05).astype(np.uint16)),
            "gross_micros": pa.array(gross),
            "net_micros": pa.array(gross - back),
            "product_ids": pa.ListArray.from_arrays(offsets, products),
            "quantities": pa.ListArray.from_arrays(offsets, quantities),
        }
    )


def segment_rows(count: int, seed: int = 8) -> pa.Table:
    """Return the same kind of shop as a tool exports it: one event a row, with ids as text."""
    rng = np.random.default_rng(seed)
    numbers = pc.cast(pa.array(np.arange(count)), pa.string())
    users = pc.cast(pa.array(rng.integers(0, max(count // EVENTS_A_USER, 1), count)), pa.string())
    time = (FIRST_DAY + np.sort(rng.random(count)) * DAYS) * _DAY_MS
    kind = rng.choice(len(NAMES), size=count, p=SHARES)
    cents = (rng.lognormal(3.5, 0.8, count) * 100).astype(np.int64)
    revenue = np.where((kind == 2) | (kind == 3), cents / 100, np.nan)
    products = pc.cast(pa.array(rng.zipf(1.3, count) % 5_000), pa.string())
    return pa.table(
        {
            "message_id": pc.binary_join_element_wise("event-", numbers, ""),
            "event": pa.array(np.array(NAMES)[kind]),
            "user_id": pc.binary_join_element_wise("user-", users, ""),
            "timestamp": pa.array(time.astype(np.int64), pa.timestamp("ms", "UTC")),
            "revenue": pa.array(revenue, from_pandas=True),
            "product_id": pc.binary_join_element_wise("sku-", products, ""),
            "quantity": pa.array(rng.integers(1, 4, count).astype(np.float64)),
            "price": pa.array(cents / 100),
        }
    )
