"""A shop whose customers have tastes: each buys mostly from one part of the shelf, some again."""

import numpy as np

from services.feature.domain.product_lines import OrderLines

TASTES, EACH = 8, 10
PRODUCTS = tuple(f"P{number:03d}" for number in range(TASTES * EACH))


def order_lines(
    seed: int = 0, users: int = 240, first_day: int = 14_000, days: int = 320
) -> OrderLines:
    """Orders of three products every few weeks; two in three products are of the user's taste."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        taste = user % TASTES
        day = first_day + rng.uniform(0, 60)
        while day < first_day + days:
            order = len(rows)
            for _ in range(3):
                is_own_taste = rng.uniform() < 2 / 3
                part = taste if is_own_taste else rng.integers(0, TASTES)
                # Few of each part sell most of the time.
                product = part * EACH + min(int(rng.exponential(3.0)), EACH - 1)
                rows.append((user + 1, order, product, day, 1.0 + product % 7))
            day += rng.exponential(30.0) + 5
    rows.sort(key=lambda row: (row[3], row[1], row[2]))
    users_, orders, products, at, prices = map(np.array, zip(*rows, strict=True))
    return OrderLines(users_.astype(np.uint64), orders, products, at, prices, PRODUCTS)
