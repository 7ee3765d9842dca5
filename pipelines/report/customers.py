"""Customers as a report ranks them: predictions beside what each has done so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.errors import InvalidArgumentError

Floats = NDArray[np.float64]

SEGMENT_COUNT = 4
BANDS = ((90.0, "very high"), (70.0, "high"), (30.0, "medium"), (10.0, "low"), (0.0, "very low"))


@dataclass(frozen=True)
class Reasons:
    """What speaks for an order and what against it, in words, strongest first."""

    raising: tuple[str, ...]
    lowering: tuple[str, ...]


@dataclass(frozen=True)
class Customers:
    """Known customers in the order of their ids; arrays run along customers.

    Attributes:
        ids: As the source calls them.
        active: Probability of an order within the horizon.
        percentile: In (0, 100); how many known customers are less likely to order.
        value_micros: Expected spend within the horizon.
        low_micros: What nine in ten customers spend lies between this,
        high_micros: and this.
        segments: Probability of each value segment, `[customer, segment]`.
        segment: The segment that each customer is counted to.
        is_eligible: Whether the customer has ordered before; others carry base rates.
        reasons_json: The reasons as inference wrote them.
        recency_days: Since the last order; NaN when none.
        order_count: Orders so far.
        past_micros: Spend in the year before, less refunds where they are known.
    """

    ids: NDArray[np.str_]
    active: Floats
    percentile: Floats
    value_micros: NDArray[np.int64]
    low_micros: NDArray[np.int64]
    high_micros: NDArray[np.int64]
    segments: Floats
    segment: NDArray[np.int8]
    is_eligible: NDArray[np.bool_]
    reasons_json: NDArray[np.object_]
    recency_days: Floats
    order_count: NDArray[np.int64]
    past_micros: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)


def customers_of(
    predictions: pa.Table, history: pa.Table, source_ids: Mapping[int, str]
) -> Customers:
    """Joins predictions, history and ids, in an order that no pseudonym has a say in.

    Raises:
        InvalidArgumentError: When a customer predicted for has no history row or more than one.
    """
    keys = predictions["user_key"].to_numpy()
    history_keys = history["user_key"].to_numpy()
    by_key = np.argsort(history_keys, kind="stable")
    places = np.searchsorted(history_keys, keys, sorter=by_key)
    found = by_key[np.minimum(places, max(len(by_key) - 1, 0))] if len(by_key) else places
    if len(history_keys) != len(keys) or not np.array_equal(history_keys[found], keys):
        raise InvalidArgumentError(
            f"history has {len(history_keys)} rows for {len(keys)} predictions; "
            "it needs one row for each user_key predicted",
            reason="REPORT_HISTORY_MISMATCH",
            history_rows=len(history_keys),
            predictions=len(keys),
        )
    ids = np.array([called(key, source_ids) for key in keys.tolist()])
    order = np.argsort(ids, kind="stable")
    segments = pc.list_flatten(predictions["segment_probabilities"]).to_numpy()
    rows = found[order]
    spent = "net_micros" if "net_micros" in history.column_names else "gross_micros"
    return Customers(
        ids=ids[order],
        active=predictions["active_probability"].to_numpy()[order],
        percentile=predictions["percentile"].to_numpy()[order],
        value_micros=predictions["expected_value_micros"].to_numpy()[order],
        low_micros=predictions["value_low_micros"].to_numpy()[order],
        high_micros=predictions["value_high_micros"].to_numpy()[order],
        segments=segments.reshape(-1, SEGMENT_COUNT)[order],
        segment=predictions["segment"].to_numpy()[order],
        is_eligible=predictions["eligible"].to_numpy()[order],
        reasons_json=predictions["reasons"].to_numpy()[order],
        recency_days=history["recency_days"].to_numpy()[rows],
        order_count=history["order_count"].to_numpy()[rows],
        past_micros=history[spent].to_numpy()[rows],
    )


def called(user_key: int, source_ids: Mapping[int, str]) -> str:
    """Returns how a customer is called in the report."""
    return source_ids.get(user_key) or f"pseudonym-{user_key:016x}"


def band(percentile: float) -> str:
    """Returns the word for a percentile.

    >>> band(95.0), band(50.0), band(3.0)
    ('very high', 'medium', 'very low')
    """
    return next(word for least, word in BANDS if percentile >= least)


def reasons_of(text: str, limit: int = 3) -> Reasons:
    """Reads the reasons that inference wrote; at most `limit` on each side."""
    entries = orjson.loads(text) if text else []
    raising = tuple(each["text"] for each in entries if each["contribution"] > 0)
    lowering = tuple(each["text"] for each in entries if each["contribution"] < 0)
    return Reasons(raising[:limit], lowering[:limit])
