"""When customers order next, as a file that agrees with what the main job says of them."""

import csv
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

PREDICTION, STAGE = "next_order", "next orders"
HORIZON_DAYS, PARTS = 90, 12
COLUMNS = (
    *("user", "next_order_days", "days_low", "days_high"),
    *("p_order_30d", "p_order_60d", "p_order_90d", "eligible"),
)

_LEAST = 1e-6
_LEVELS = (0.5, 0.1, 0.9)

Floats = NDArray[np.float64]


def next_orders_csv(table: pa.Table, predictions: pa.Table, shown_ids: Mapping[int, str]) -> bytes:
    """Return the file, a row a customer, ordered by the id shown; a day after the horizon is blank.

    There is one probability of an order within the horizon, the main job's. The odds of all chances
    of a customer are moved by one factor to meet it.

    Args:
        table: user_key, eligible, and chances by the end of each twelfth of the horizon.
        predictions: user_key and active_probability.
        shown_ids: What each user_key is called in files; others are left out.
    """
    active = dict(
        zip(
            predictions["user_key"].to_pylist(),
            predictions["active_probability"].to_pylist(),
            strict=True,
        )
    )
    told = [
        row
        for row in table.to_pylist()
        if row["user_key"] in shown_ids and row["user_key"] in active
    ]
    chances = np.array([row["chances"] for row in told], np.float64).reshape(len(told), PARTS)
    met = moved(chances, np.array([active[row["user_key"]] for row in told]))
    days = np.stack([days_reached(met, level) for level in _LEVELS], axis=1)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    rows = zip(told, met, days, strict=True)
    writer.writerows(
        sorted(
            _row(shown_ids[row["user_key"]], chance, day, row["eligible"])
            for row, chance, day in rows
        )
    )
    return text.getvalue().encode()


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


def _row(user: str, chances: Floats, days: Floats, eligible: Any) -> list[str]:
    third = PARTS // 3
    return [
        user,
        *("" if np.isnan(each) else f"{each:.1f}" for each in days),
        *(f"{chances[place * third - 1]:.6f}" for place in (1, 2, 3)),
        "true" if eligible else "false",
    ]
