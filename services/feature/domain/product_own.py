"""What users ordered themselves: how often each product, how lately, and whether it is due."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from services.feature.domain.product_lines import YEAR_DAYS, Floats, Past

_NEVER_DAYS = 400.0
_USUAL_GAP_DAYS = 90.0


class OwnOrders:
    """Tables of users and products at an instant.

    Args:
        past: What was known at it.
        horizon_days: Length of the window looked back to a year ago.
    """

    def __init__(self, past: Past, horizon_days: int) -> None:
        self._past = past
        flat = past.user * past.shape[1] + past.product
        self._pairs, self._place = np.unique(flat, return_inverse=True)
        is_season = (past.age <= YEAR_DAYS) & (past.age > YEAR_DAYS - horizon_days)
        newest, orders = _orders(past)
        is_last = past.age <= newest[past.user]
        newest_pair, oldest_pair = self._extremes()
        self._tables = {
            "order_count": self._sum(np.ones_like(past.age)),
            "fading_count": self._sum(np.exp2(-past.age / 60)),
            "season_count": self._sum(is_season.astype(np.float64)),
            "in_last": self._sum(is_last.astype(np.float64)),
            "newest": self._table(newest_pair),
            "oldest": self._table(oldest_pair),
        }
        lines = np.bincount(past.user, minlength=past.shape[0])
        different = np.diff(self._tables["order_count"].indptr)
        oldest = np.zeros(past.shape[0])
        np.maximum.at(oldest, past.user, past.age)
        self.order_counts = orders.astype(np.float32)
        self.newest = newest.astype(np.float32)
        self.habits: Mapping[str, Floats] = {
            name: values.astype(np.float32)
            for name, values in {
                "user_orders": np.log1p(orders),
                "user_recency": np.log1p(newest),
                "user_tenure": np.log1p(oldest),
                "user_basket": np.log1p(lines / np.maximum(orders, 1)),
                "user_variety": different / np.maximum(lines, 1),
            }.items()
        }
        """Numbers of each user, by name."""

    def of(self, users: npt.NDArray[np.intp]) -> Mapping[str, Floats]:
        """Return tables of [user, product] by name; 0 where a user never ordered a product."""
        return {name: table[users].toarray() for name, table in self._tables.items()}

    def features(
        self, own: Mapping[str, Floats], users: npt.NDArray[np.intp]
    ) -> Mapping[str, Floats]:
        """Return what `of` gave, cut to candidates, as numbers to learn from."""
        count = own["order_count"]
        is_own = count > 0
        newest = np.where(is_own, own["newest"], _NEVER_DAYS)
        oldest = np.where(is_own, own["oldest"], _NEVER_DAYS)
        gap = np.where(count > 1, (oldest - newest) / np.maximum(count - 1, 1), _USUAL_GAP_DAYS)
        since_last = np.maximum(newest - self.newest[users][:, None], 0)
        return {
            "own": is_own.astype(np.float32),
            "own_orders": np.log1p(count),
            "own_share": count / np.maximum(self.order_counts[users][:, None], 1),
            "own_fading": np.log1p(3 * own["fading_count"]),
            "own_recency": np.log1p(newest),
            "own_gap": np.log1p(gap),
            "own_due": np.where(count > 1, np.log((newest + 3) / (gap + 3)), 0),
            "own_in_last": np.minimum(own["in_last"], 1),
            "own_since_last": np.where(is_own, np.log1p(since_last), 0),
            "own_season": np.log1p(own["season_count"]),
        }

    def _sum(self, values: npt.NDArray[np.float64]) -> Any:
        return self._table(np.bincount(self._place, values, minlength=len(self._pairs)))

    def _extremes(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        newest, oldest = np.full(len(self._pairs), np.inf), np.zeros(len(self._pairs))
        np.minimum.at(newest, self._place, self._past.age)
        np.maximum.at(oldest, self._place, self._past.age)
        return newest, oldest

    def _table(self, values: npt.NDArray[Any]) -> Any:
        users, products = np.divmod(self._pairs, max(self._past.shape[1], 1))
        cells = (values.astype(np.float32), (users, products))
        return sparse.csr_array(cells, shape=self._past.shape)


def _orders(past: Past) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Days since the last order, and the number of orders, of each user."""
    newest = np.full(past.shape[0], np.inf)
    np.minimum.at(newest, past.user, past.age)
    _, first = np.unique(past.order, return_index=True)
    return newest, np.bincount(past.user[first], minlength=past.shape[0])
