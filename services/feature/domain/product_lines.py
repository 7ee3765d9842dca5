"""Who ordered which product when, and what of it was known at an instant."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

NOBODY = np.uint64(0)
MOST_PRODUCTS = 5_000
"""Products that may be candidates at an instant: those in most orders of the year before."""

YEAR_DAYS = 365

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class OrderLines:
    """Products of orders, one row each, in the order of time.

    Attributes:
        keys: Who ordered; `NOBODY` where that is not known.
        orders: Numbers that tell orders apart.
        products: Places in `product_ids`.
        days: When, in days from 1970-01-01.
        prices: Of one piece.
        product_ids: Ids as they stand in the events, sorted.
    """

    keys: npt.NDArray[np.uint64]
    orders: Places
    products: Places
    days: npt.NDArray[np.float64]
    prices: npt.NDArray[np.float64]
    product_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, chosen: Any) -> "OrderLines":
        """Return some of the rows, of the same products."""
        return OrderLines(
            self.keys[chosen],
            self.orders[chosen],
            self.products[chosen],
            self.days[chosen],
            self.prices[chosen],
            self.product_ids,
        )


@dataclass(frozen=True)
class Past:
    """What was known at an instant, over users and products numbered from 0.

    Attributes:
        day: The instant, in days from 1970-01-01.
        first_day: The first order of all.
        user_keys: Users who had ordered, ascending.
        products: Places of the products in the list of all.
        sales: Products of all orders, also of nobody known: order, product, days ago.
        user, product, order, age: Each product of each order of a user, once.
        prices: Mean price of each product.
    """

    day: float
    first_day: float
    user_keys: npt.NDArray[np.uint64]
    products: Places
    sales: tuple[Places, Places, npt.NDArray[np.float64]]
    user: Places
    product: Places
    order: Places
    age: npt.NDArray[np.float64]
    prices: npt.NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int]:
        """Users and products."""
        return len(self.user_keys), len(self.products)

    def table(self, values: npt.NDArray[Any], chosen: Any = slice(None)) -> Any:
        """Sum values of each line chosen into a sparse table of users and products."""
        places = (self.user[chosen], self.product[chosen])
        return sparse.csr_array((values[chosen].astype(np.float32), places), shape=self.shape)


def past_of(lines: OrderLines, day: float) -> Past:
    """Return what lines before an instant say.

    Args:
        lines: Later ones are left out here, so they cannot move anything.
        day: The instant.
    """
    lines = lines.rows(lines.days < day)
    recent = lines.days >= day - YEAR_DAYS
    if not recent.any():
        recent[:] = True
    counts = np.bincount(lines.products[recent], minlength=len(lines.product_ids))
    # The most ordered; among equals the first by id.
    ranked = np.argsort(-counts, kind="stable")[:MOST_PRODUCTS]
    products = np.sort(ranked[counts[ranked] > 0])
    place = np.full(len(lines.product_ids), -1)
    place[products] = np.arange(len(products))
    first_day = float(lines.days.min(initial=day))
    lines = lines.rows(place[lines.products] >= 0)
    numbers = place[lines.products]
    total = np.bincount(numbers, lines.prices, minlength=len(products))
    prices = total / np.maximum(np.bincount(numbers, minlength=len(products)), 1)
    # An order is of one user, so a product of an order is of one too.
    _, once = np.unique(lines.orders * len(products) + numbers, return_index=True)
    orders, numbers, ages = lines.orders[once], numbers[once], day - lines.days[once]
    is_known = lines.keys[once] != NOBODY
    user_keys, user = np.unique(lines.keys[once][is_known], return_inverse=True)
    return Past(
        day=day,
        first_day=first_day,
        user_keys=user_keys,
        products=products,
        sales=(orders, numbers, ages),
        user=user,
        product=numbers[is_known],
        order=orders[is_known],
        age=ages[is_known],
        prices=prices,
    )
