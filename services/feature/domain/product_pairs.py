"""Pairs of users and candidate products at an instant, with what was known of each."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from services.feature.domain.product_facts import product_facts
from services.feature.domain.product_likeness import Likeness
from services.feature.domain.product_lines import NOBODY, Floats, OrderLines, past_of
from services.feature.domain.product_own import OwnOrders
from shared.dataset.products import NONE, ProductRows

Keys = npt.NDArray[np.uint64]
Users = npt.NDArray[np.intp]

OWN_CANDIDATES = 64
NEW_CANDIDATES = 40
"""Best of each way to find products that are new to a user."""

WAYS = ("sold_30d", "like_orders", "like_users_lately", "regression_recent")
CANDIDATES = OWN_CANDIDATES + NEW_CANDIDATES * len(WAYS)

FEATURES = (
    *("own", "own_orders", "own_share", "own_fading", "own_recency", "own_gap", "own_due"),
    *("own_in_last", "own_since_last", "own_season"),
    *("sold_7d", "sold_30d", "sold_90d", "sold_365d", "trend", "season"),
    *("days_since_sold", "days_on_sale", "price", "repeat_rate", "adoption_rate"),
    *("like_orders", "like_basket", "like_users_lately", "like_users"),
    *("regression", "regression_recent", "embedding"),
    *("user_orders", "user_recency", "user_tenure", "user_basket", "user_variety"),
)
"""Names of what is known of a pair, in the order of a row's last axis."""

_ROWS_AT_ONCE = 256
_ADDED = {"like_orders": 1e-2, "like_basket": 1e-2}
_LEAST_ADDED = 1e-3
_DECIMALS = 4  # so that the last bits of sums, which another processor may give otherwise, go


class Pairs:
    """Makes the rows of one instant.

    Args:
        lines: What is known; what happened at the instant or after it makes labels alone.
        day: The instant, in days from 1970-01-01.
        horizon_days: Length of the label window.
    """

    def __init__(self, lines: OrderLines, day: float, horizon_days: int) -> None:
        self._past = past_of(lines, day)
        self._facts = product_facts(self._past, horizon_days)
        self._own = OwnOrders(self._past, horizon_days)
        self._likeness = Likeness(self._past)
        self._future = _Future(lines, day, day + horizon_days)

    def buyers(self) -> Keys:
        """Return who had ordered before the instant and orders within the horizon, ascending."""
        return np.intersect1d(self._past.user_keys, self._future.keys)

    def rows(self, user_keys: Keys, as_of_ms: int) -> Iterator[ProductRows]:
        """Yield rows of these users, who need not have ordered, some at a time."""
        for start in range(0, len(user_keys), _ROWS_AT_ONCE):
            yield self._block(user_keys[start : start + _ROWS_AT_ONCE], as_of_ms)

    def _block(self, keys: Keys, as_of_ms: int) -> ProductRows:
        listed = self._past.user_keys
        users = np.minimum(np.searchsorted(listed, keys), len(listed) - 1)
        has_past = (listed[users] == keys)[:, None]
        scores = {n: np.where(has_past, s, 0) for n, s in self._likeness.scores(users).items()}
        own = {n: np.where(has_past, t, 0) for n, t in self._own.of(users).items()}
        ways = {**{name: each[None, :] for name, each in self._facts.items()}, **scores}
        chosen, is_chosen = candidates(
            own["fading_count"], [np.broadcast_to(ways[way], own["newest"].shape) for way in WAYS]
        )

        def at(table: Floats) -> Floats:
            return np.take_along_axis(table, chosen, axis=1)

        known: Mapping[str, Floats] = {
            **self._own.features({name: at(each) for name, each in own.items()}, users),
            **{name: each[chosen] for name, each in self._facts.items()},
            **{
                name: np.log(np.maximum(at(each), 0) + _ADDED.get(name, _LEAST_ADDED))
                for name, each in scores.items()
            },
            **{
                name: np.broadcast_to(np.where(has_past, each[users][:, None], 0), chosen.shape)
                for name, each in self._own.habits.items()
            },
        }
        features = np.stack([np.asarray(known[name], np.float32) for name in FEATURES], axis=-1)
        products = self._past.products[chosen]
        return ProductRows(
            user_keys=keys,
            as_ofs=np.full(len(keys), as_of_ms, np.int64),
            products=np.where(is_chosen, products, NONE).astype(np.int32),
            is_own=(at(own["order_count"]) > 0) & is_chosen,
            features=np.where(is_chosen[..., None], np.round(features, _DECIMALS), 0),
            is_ordered=self._future.has(keys, products) & is_chosen,
            ordered=self._future.counts(keys, is_new=False),
            ordered_new=self._future.counts(keys, is_new=True),
        )


def candidates(
    fading: Floats, ways: list[Floats]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return places of candidates [user, candidate], and which of them are filled.

    Args:
        fading: How often users ordered each product, old orders counting less.
        ways: Scores of [user, product]; the best of each that are new to the user are candidates.
    """
    is_own = fading > 0
    is_chosen = np.zeros_like(is_own)
    wanted = [(np.where(is_own, fading, -np.inf), OWN_CANDIDATES)]
    wanted += [(np.where(is_own, -np.inf, way), NEW_CANDIDATES) for way in ways]
    for score, most in wanted:
        most = min(most, score.shape[1])
        best = np.argpartition(-score, most - 1, axis=1)[:, :most]
        found = np.isfinite(np.take_along_axis(score, best, 1))
        np.put_along_axis(is_chosen, best, np.take_along_axis(is_chosen, best, 1) | found, 1)
    # Stable: candidates keep the order of the list of products.
    places = np.argsort(~is_chosen, axis=1, kind="stable")[:, :CANDIDATES]
    missing = CANDIDATES - places.shape[1]
    places = np.pad(places, ((0, 0), (0, missing)))
    filled = np.arange(CANDIDATES)[None, :] < is_chosen.sum(axis=1, keepdims=True)
    return places, filled


class _Future:
    """What users order from an instant on, before another.

    Args:
        lines: Orders of all times.
        day: The instant, in days from 1970-01-01.
        end: The other.
    """

    def __init__(self, lines: OrderLines, day: float, end: float) -> None:
        is_known = lines.keys != NOBODY
        after = lines.rows(is_known & (lines.days >= day) & (lines.days < end))
        before = lines.rows(is_known & (lines.days < day))
        self.keys = np.unique(after.keys)
        self._count = max(len(lines.product_ids), 1)
        self._pairs = np.unique(self._coded(after.keys, after.products))
        is_listed = np.isin(before.keys, self.keys)
        had = self._coded(before.keys[is_listed], before.products[is_listed])
        self._is_new = ~np.isin(self._pairs, had)

    def has(self, keys: Keys, products: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Say which products [user, candidate] users order."""
        coded = self._coded(np.repeat(keys, products.shape[1]), products.ravel())
        found = np.isin(coded, self._pairs).reshape(products.shape)
        return found & np.isin(keys, self.keys)[:, None]

    def counts(self, keys: Keys, *, is_new: bool) -> npt.NDArray[np.int32]:
        """Count the different products that users order, or those they had never ordered."""
        pairs = self._pairs[self._is_new] if is_new else self._pairs
        counts = np.bincount(pairs // self._count, minlength=len(self.keys) + 1)
        places = np.searchsorted(self.keys, keys)
        return np.where(np.isin(keys, self.keys), counts[places], 0).astype(np.int32)

    def _coded(self, keys: Keys, products: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Pairs as numbers; the user must be among those who order."""
        return np.searchsorted(self.keys, keys) * self._count + products
