"""When customers order next, in agreement with what the main job says of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.dataset import DatasetReader

PREDICTION, STAGE = "next_order", "next orders"
HORIZON_DAYS, PARTS = 90, 12
WEEKS = HORIZON_DAYS // 7

_LEAST = 1e-6

_NEAR = timedelta(days=16)
"""Instants of training are 30 days apart."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NextOrders:
    """When each customer orders next; arrays run along customers.

    Attributes:
        user_keys: Pseudonyms.
        eligible: Whether the question is put to them.
        chances: That they have ordered by the end of each twelfth of the horizon, `[user, part]`.
        reasons_json: Why they order within the horizon or not, as inference wrote it.
    """

    user_keys: NDArray[np.uint64]
    eligible: NDArray[np.bool_]
    chances: Floats
    reasons_json: tuple[str, ...]

    def days(self, level: float) -> Floats:
        """Days by which each has ordered with a chance; NaN where that is after the horizon."""
        return days_reached(self.chances, level)

    def by_week(self) -> Floats:
        """How many customers are expected to order next in each whole week of the horizon."""
        ends = 7.0 * np.arange(WEEKS + 1) * PARTS / HORIZON_DAYS
        total = np.concatenate([[0.0], self.chances[self.eligible].sum(axis=0)])
        found: Floats = np.diff(np.interp(ends, np.arange(PARTS + 1), total))
        return found


@dataclass(frozen=True)
class EarlierOrders:
    """What came of the same question at an earlier instant.

    Attributes:
        start_time: The instant.
        customer_count: Customers that it was put to.
        by_week: How many of them ordered next in each whole week of the horizon.
    """

    start_time: datetime
    customer_count: int
    by_week: tuple[int, ...]


@dataclass(frozen=True)
class Due:
    """What a report on next orders is made from.

    Attributes:
        orders: Of customers.
        usual_gap_days: Mean days between the orders of each of them; NaN where there were not two.
        last_window: What came in the horizon's length before; None where that was not learned from.
        year_ago: What came in the same weeks of last year; None where history is shorter.
        measured: Metrics of the model on later time than it was fitted on.
    """

    orders: NextOrders
    usual_gap_days: Floats
    last_window: EarlierOrders | None
    year_ago: EarlierOrders | None
    measured: Mapping[str, Any]


def next_orders_of(table: pa.Table, predictions: pa.Table) -> NextOrders:
    """Return what is said of customers that the main job speaks of.

    There is one probability of an order within the horizon, the main job's. The odds of all chances
    of a customer are moved by one factor to meet it.

    Args:
        table: user_key, eligible, reasons, and chances by the end of each twelfth of the horizon.
        predictions: user_key and active_probability.
    """
    active = dict(
        zip(
            predictions["user_key"].to_pylist(),
            predictions["active_probability"].to_pylist(),
            strict=True,
        )
    )
    told = [row for row in table.to_pylist() if row["user_key"] in active]
    chances = np.array([row["chances"] for row in told], np.float64).reshape(len(told), PARTS)
    return NextOrders(
        user_keys=np.array([row["user_key"] for row in told], np.uint64),
        eligible=np.array([row["eligible"] for row in told], np.bool_),
        chances=moved(chances, np.array([active[row["user_key"]] for row in told])),
        reasons_json=tuple(row["reasons"] for row in told),
    )


def earlier_orders(training: DatasetReader, wanted: datetime) -> EarlierOrders | None:
    """Return what came after the training instant that is nearest; None if none is within weeks.

    Args:
        training: Rows with the days that passed until the next order.
        wanted: The instant to be near.
    """
    instants = training.manifest.as_ofs
    nearest = min(instants, key=lambda each: abs(each - wanted), default=None)
    if nearest is None or abs(nearest - wanted) > _NEAR:
        return None
    arrays = training.arrays((nearest,))
    assert arrays.wait_days is not None
    days = arrays.wait_days[arrays.eligible]
    counts, _ = np.histogram(days[np.isfinite(days)], 7.0 * np.arange(WEEKS + 1))
    return EarlierOrders(nearest, len(days), tuple(counts.tolist()))


def moved(chances: Floats, last: Floats) -> Floats:
    """The chances [user, part] whose last is given, the odds of all moved by one factor.

    >>> moved(np.array([[0.2, 0.5]]), np.array([0.8])).tolist()
    [[0.5, 0.8]]
    """
    odds = _odds(chances) / _odds(chances[:, -1:]) * _odds(last)[:, None]
    found: Floats = np.round(odds / (1.0 + odds), 12)
    return found


def days_reached(chances: Floats, level: float) -> Floats:
    """Days by which each user's chance reaches a level; NaN where that is after the horizon.

    >>> days_reached(np.array([[0.2, 0.6]]), 0.4).tolist()
    [67.5]
    """
    count = chances.shape[1]
    before = np.concatenate([np.zeros((len(chances), 1)), chances], axis=1)
    part, row = (chances < level).sum(axis=1), np.arange(len(chances))
    inside = np.minimum(part, count - 1)
    low, high = before[row, inside], before[row, inside + 1]
    within = (level - low) / np.maximum(high - low, _LEAST)
    return np.where(part < count, HORIZON_DAYS * (inside + within) / count, np.nan)


def _odds(chances: Floats) -> Floats:
    kept = np.clip(chances, _LEAST, 1.0 - _LEAST)
    odds: Floats = kept / (1.0 - kept)
    return odds
