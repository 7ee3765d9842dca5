"""A simulator of a small web shop: Segment events of customers whose true behaviour is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from shared.errors import InvalidArgumentError

SOURCE = "simulator"
HORIZON_DAYS = 90

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_DAY_SECONDS = 86_400
_CATEGORIES = ("kitchen", "garden", "lighting", "textiles", "stationery", "toys")
_CAMPAIGNS = ("", "newsletter", "search", "social", "affiliate")
# Prices climb geometrically from 2.5 to 180, so that any basket value can be met with few lines.
_PRICE_CENTS: Integers = np.round(250 * 72 ** (np.arange(60) / 59)).astype(np.int64)
_PEAK_SEASON = 2.0


@dataclass(frozen=True)
class Simulation:
    """Simulated events and the truth behind them.

    Attributes:
        lines: One Segment-spec event in JSON each, in order of time.
        truth: One row per customer: `user_id`, `join_time`, `churn_time` (when the customer left
            for good, which may be after the last event), `true_rate` (orders a day while active,
            season apart), `true_spend_mean` (currency units an order), `orders_next_90d` and
            `spend_next_90d` (what really follows the last day; no event of it is told).
        end_time: Instant up to which events are told.
    """

    lines: list[bytes]
    truth: pa.Table
    end_time: datetime

    def write(self, path: Path) -> Path:
        """Writes the events as JSON lines and returns the path."""
        path.write_bytes(b"\n".join(self.lines) + b"\n")
        return path


@dataclass(frozen=True)
class _Customers:
    """Who they are; times in days since the first day told."""

    join_day: Floats
    churn_day: Floats
    rate: Floats
    spend_mean: Floats
    view_rate: Floats
    return_rate: Floats
    is_buyer: NDArray[np.bool_]


@dataclass(frozen=True)
class _Orders:
    """Orders by customer and day, and what was in each."""

    user: Integers
    day: Floats
    cents: Integers
    baskets: list[list[dict[str, Any]]]


def simulate(
    *,
    seed: int = 7,
    users: int = 2000,
    days: int = 540,
    end_time: datetime = datetime(2025, 7, 1, tzinfo=UTC),
) -> Simulation:
    """Simulates a shop for some days up to a fixed end; equal arguments give equal bytes.

    Customers join over time, most of them early. While active they order as a Poisson process with
    a gamma-distributed rate of their own, bent by a yearly season and a Christmas peak; each leaves
    for good after an exponential time of their own; an order's value is lognormal around a
    lognormal mean of their own. Before an order they view products, at first without an account;
    some orders come back.

    Args:
        seed: Of all randomness.
        users: Customers simulated; a few of them register and never order.
        days: Days told, at least 2.
        end_time: Instant after the last day told.

    Raises:
        InvalidArgumentError: When users or days is too small to simulate anything.
    """
    if users < 1 or days < 2:
        raise InvalidArgumentError(
            f"users is {users} and days is {days}; give at least 1 user and 2 days",
            reason="SIMULATION_TOO_SMALL",
            users=users,
            days=days,
        )
    rng = np.random.Generator(np.random.PCG64(seed))
    start_time = end_time - timedelta(days=days)
    customers = _draw_customers(rng, users, days)
    orders = _draw_orders(rng, customers, days + HORIZON_DAYS, start_time)
    timed = [
        *_order_events(rng, customers, orders),
        *_browsing_events(rng, customers, days),
        *_visitor_events(rng, users, days),
    ]
    told = sorted((e for e in timed if 0 <= e[0] < days * _DAY_SECONDS), key=lambda e: e[0])
    seconds = np.array([second for second, _ in told], dtype=np.int64)
    times = np.datetime64(start_time.replace(tzinfo=None), "s") + seconds
    lines = [
        orjson.dumps({"messageId": f"sim-{seed}-{index}", "timestamp": f"{time}Z"} | event)
        for index, (time, (_, event)) in enumerate(
            zip(np.datetime_as_string(times, unit="ms").tolist(), told, strict=True)
        )
    ]
    return Simulation(lines, _truth(customers, orders, days, start_time), end_time)


def _draw_customers(rng: np.random.Generator, users: int, days: int) -> _Customers:
    """Customers differ in everything, each trait drawn on its own."""
    join_day = days * rng.random(users) ** 1.5
    rate = rng.gamma(1.1, 1 / 45, users) + 1 / 1500
    lifetime = rng.exponential(1.0, users) / (rng.gamma(1.4, 1 / 420, users) + 1e-4)
    return _Customers(
        join_day=join_day,
        churn_day=join_day + lifetime,
        rate=rate,
        spend_mean=np.exp(rng.normal(3.7, 0.7, users)),
        view_rate=rate * rng.gamma(4.0, 0.35, users),
        return_rate=rng.beta(1.2, 14.0, users),
        is_buyer=rng.random(users) > 0.04,
    )


def _season(day: Floats, start_time: datetime) -> Floats:
    """How busy the shop is: a winter wave and a Christmas peak, about 1 over a year."""
    day_of_year = (day + start_time.timetuple().tm_yday - 1) % 365.25
    winter = 0.12 * np.cos(2 * np.pi * (day_of_year - 345) / 365.25)
    christmas = 0.9 * np.exp(-0.5 * ((day_of_year - 340) / 13) ** 2)
    return np.asarray(0.92 + winter + christmas)


def _draw_orders(
    rng: np.random.Generator, customers: _Customers, last_day: int, start_time: datetime
) -> _Orders:
    """The joining order and, until the customer leaves, a Poisson process thinned by season."""
    active_days = np.clip(customers.churn_day, None, last_day) - customers.join_day
    tries = rng.poisson(customers.rate * active_days * _PEAK_SEASON)
    tried = np.repeat(np.arange(len(tries)), tries)
    tried_day = customers.join_day[tried] + rng.random(len(tried)) * active_days[tried]
    is_kept = rng.random(len(tried)) * _PEAK_SEASON < _season(tried_day, start_time)
    user = np.concatenate([np.arange(len(tries)), tried[is_kept]])
    day = np.concatenate([customers.join_day, tried_day[is_kept]])
    order = [i for i in np.lexsort((day, user)) if customers.is_buyer[user[i]]]
    user, day = user[order], day[order]
    sought_cents = 100 * customers.spend_mean[user] * np.exp(rng.normal(-0.125, 0.5, len(user)))
    baskets = _baskets(rng, sought_cents)
    cents = [sum(round(100 * line["price"]) * line["quantity"] for line in b) for b in baskets]
    return _Orders(user, day, np.array(cents, dtype=np.int64), baskets)


def _baskets(rng: np.random.Generator, sought_cents: Floats) -> list[list[dict[str, Any]]]:
    """Lines for each order whose values add up to about the value sought."""
    line_counts = 1 + rng.poisson(1.4, len(sought_cents))
    line_cents = np.repeat(sought_cents / line_counts, line_counts)
    dearest = np.searchsorted(_PRICE_CENTS, line_cents / rng.integers(1, 5, len(line_cents)))
    chosen = np.clip(dearest - rng.integers(0, 6, len(dearest)), 0, len(_PRICE_CENTS) - 1)
    quantities = np.clip(np.round(line_cents / _PRICE_CENTS[chosen]), 1, 99).astype(np.int64)
    lines = [
        {
            "product_id": f"P{number:03d}",
            "category": _CATEGORIES[number % len(_CATEGORIES)],
            "price": int(_PRICE_CENTS[number]) / 100,
            "quantity": quantity,
        }
        for number, quantity in zip(chosen.tolist(), quantities.tolist(), strict=True)
    ]
    ends = np.cumsum(line_counts).tolist()
    return [lines[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _order_events(
    rng: np.random.Generator, customers: _Customers, orders: _Orders
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Orders with the views before them and the returns after them."""
    count = len(orders.user)
    return_days = np.where(
        rng.random(count) < customers.return_rate[orders.user], rng.integers(3, 22, count), 0
    )
    rows = zip(
        orders.user.tolist(),
        (orders.day * _DAY_SECONDS).astype(np.int64).tolist(),
        orders.cents.tolist(),
        orders.baskets,
        rng.integers(1, 5, count).tolist(),
        rng.integers(0, len(_CAMPAIGNS), count).tolist(),
        return_days.tolist(),
        (rng.random(count) < 0.5).tolist(),
        strict=True,
    )
    for number, (user, second, cents, basket, views, place, wait, is_whole) in enumerate(rows):
        who = {"userId": _user_id(user)} | _device(user)
        order = {"order_id": f"S{number:06d}"}
        campaign = _CAMPAIGNS[place]
        context = {"context": {"campaign": {"name": campaign}}} if campaign else {}
        for view in range(views):
            yield second - 240 * (view + 1), _view(who, view * 7 + number) | context
        sale = order | {"currency": "USD", "revenue": cents / 100, "products": basket}
        yield second, _track("Order Completed", who, sale) | context
        if wait:
            returned = basket if is_whole else basket[:1]
            total = sum(round(100 * line["price"]) * line["quantity"] for line in returned)
            refund = _track("Order Refunded", who, order | {"total": total / 100})
            yield second + wait * _DAY_SECONDS, refund


def _browsing_events(
    rng: np.random.Generator, customers: _Customers, days: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Registration, the visit before it without an account, and visits without an order."""
    span = np.clip(np.minimum(customers.churn_day, days) - customers.join_day, 0, None)
    visits = rng.poisson(customers.view_rate * span)
    visitors = np.repeat(np.arange(len(visits)), visits)
    moments = customers.join_day[visitors] + rng.random(len(visitors)) * span[visitors]
    seconds = (moments * _DAY_SECONDS).astype(np.int64).tolist()
    for user, second in zip(visitors.tolist(), seconds, strict=True):
        yield second, _view({"userId": _user_id(user)} | _device(user), user + second)
    joined = (customers.join_day * _DAY_SECONDS).astype(np.int64).tolist()
    for user, views in enumerate(rng.integers(0, 4, len(visits)).tolist()):
        for view in range(views):
            yield joined[user] - 1800 - 600 * view, _view(_device(user), user + view)
        who = {"userId": _user_id(user)} | _device(user)
        yield joined[user] - 1200, {"type": "identify", **who, "traits": {}}


def _visitor_events(
    rng: np.random.Generator, users: int, days: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Visitors who never say who they are."""
    seconds = rng.integers(0, days * _DAY_SECONDS, users // 2).tolist()
    views = rng.integers(1, 4, users // 2).tolist()
    for visitor, (second, count) in enumerate(zip(seconds, views, strict=True)):
        for view in range(count):
            who = {"anonymousId": f"visitor-{visitor:05d}"}
            yield second + 90 * view, _view(who, visitor + view)


def _track(event: str, who: dict[str, str], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "track", "event": event, **who, "properties": properties}


def _view(who: dict[str, str], product: int) -> dict[str, Any]:
    return _track("Product Viewed", who, {"product_id": f"P{product % len(_PRICE_CENTS):03d}"})


def _user_id(user: int) -> str:
    return f"customer-{user:05d}"


def _device(user: int) -> dict[str, str]:
    return {"anonymousId": f"device-{user:05d}"}


def _truth(customers: _Customers, orders: _Orders, days: int, start_time: datetime) -> pa.Table:
    """What is true of each customer, whether or not an event shows it."""
    users = len(customers.rate)
    is_next = orders.day >= days
    followers = orders.user[is_next]

    def times(day: Floats) -> pa.Array:
        # A lifetime beyond a century says no more than that the customer stayed.
        seconds = (np.minimum(day, 36_500) * _DAY_SECONDS).astype(np.int64)
        since_1970 = seconds + int(start_time.timestamp())
        return pa.array(since_1970 * 1000).cast(pa.timestamp("ms", tz="UTC"))

    return pa.table(
        {
            "user_id": [_user_id(user) for user in range(users)],
            "join_time": times(customers.join_day),
            "churn_time": times(customers.churn_day),
            "true_rate": np.where(customers.is_buyer, customers.rate, 0.0),
            "true_spend_mean": customers.spend_mean,
            "orders_next_90d": np.bincount(followers, minlength=users),
            "spend_next_90d": np.bincount(followers, orders.cents[is_next] / 100, minlength=users),
        }
    )
