"""What each product is like at an instant: how much it sells, how that moves, who comes back."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from services.feature.domain.product_lines import YEAR_DAYS, Floats, Past

Numbers = npt.NDArray[np.float64]

_MONTH = 30
_EQUALS = 10.0
"""A share of few is drawn to the share of all as if so many had been like it."""


def product_facts(past: Past, horizon_days: int) -> Mapping[str, Floats]:
    """Return numbers of each product, by name."""
    recent = {days: _share(past, days, 0) for days in (7, _MONTH, 90, YEAR_DAYS)}
    before = _share(past, 2 * _MONTH, _MONTH)
    repeats, adoption = _loyalty(past, horizon_days)
    ages = past.sales[2]
    oldest, newest = _extremes(past, ages)
    facts = {
        "sold_7d": np.log(recent[7] + 1e-3),
        "sold_30d": np.log(recent[_MONTH] + 5e-4),
        "sold_90d": np.log(recent[90] + 2e-4),
        "sold_365d": np.log(recent[YEAR_DAYS] + 1e-4),
        "trend": np.log((recent[_MONTH] + 5e-4) / (before + 5e-4)),
        "season": np.log(_expected(past, recent[_MONTH], horizon_days) + 5e-4),
        "days_since_sold": np.log1p(newest),
        "days_on_sale": np.log1p(oldest),
        "price": np.log(past.prices + 0.1),
        "repeat_rate": np.log(repeats + 1e-3),
        "adoption_rate": np.log(adoption + 1e-4),
    }
    return {name: values.astype(np.float32) for name, values in facts.items()}


def _share(past: Past, since: float, until: float) -> Numbers:
    """Share of the orders within a span of days ago that hold each product."""
    orders, products, ages = past.sales
    chosen = (ages <= since) & (ages > until)
    counts = np.bincount(products[chosen], minlength=past.shape[1])
    return counts / max(len(np.unique(orders[chosen])), 1)


def _expected(past: Past, last_month: Numbers, horizon_days: int) -> Numbers:
    """Share of orders to expect: as in the last month and as a year ago, where that is known."""
    if past.day - past.first_day < YEAR_DAYS:
        return last_month
    return 0.5 * last_month + 0.5 * _share(past, YEAR_DAYS, YEAR_DAYS - horizon_days)


def _loyalty(past: Past, horizon_days: int) -> tuple[Numbers, Numbers]:
    """Among users who ordered in the last horizon: who came back for it, and who was new to it."""
    is_late = past.age <= horizon_days
    is_active = np.zeros(past.shape[0], np.bool_)
    is_active[past.user[is_late]] = True
    had, late = past.table(~is_late, ~is_late), past.table(is_late, is_late)
    had.data[:] = 1
    late.data[:] = 1
    had, late = had[is_active], late[is_active]
    owners = np.asarray(had.sum(axis=0), np.float64)
    again = np.asarray(had.multiply(late).sum(axis=0), np.float64)
    mean = again.sum() / max(owners.sum(), 1.0)
    repeats = (again + _EQUALS * mean) / (owners + _EQUALS)
    adopters = np.asarray(late.sum(axis=0), np.float64) - again
    return repeats, adopters / (is_active.sum() - owners + 1.0)


def _extremes(past: Past, ages: Numbers) -> tuple[Numbers, Numbers]:
    """Days since the first and since the last sale of each product."""
    oldest, newest = np.zeros(past.shape[1]), np.full(past.shape[1], np.inf)
    np.maximum.at(oldest, past.sales[1], ages)
    np.minimum.at(newest, past.sales[1], ages)
    return oldest, newest
