"""How well a product goes with what a user ordered: neighbours, regression and embeddings."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import lapack
from scipy.sparse.linalg import svds

from services.feature.domain.product_lines import Floats, Past

Rows = npt.NDArray[np.intp]

_EMBEDDING_SIZE = 48
_RIDGE = 3.0
_SHRINK = 5.0
_MOST_NEIGHBOURS = 200
_LARGEST_POOL = 8_000
"""Users among whom neighbours are looked for: those who ordered last."""


class Likeness:
    """Scores all products for some users at a time; fitted to one past and nothing else.

    Args:
        past: What was known at an instant.
    """

    def __init__(self, past: Past) -> None:
        ones = np.ones_like(past.age)
        self._own = _binary(past.table(ones))
        self._fading = _capped(past.table(np.exp2(-past.age / 60)))
        self._by_users = _cosine(self._own)
        basket, of_order = _baskets(past)
        self._by_baskets = _cosine(basket)
        self._last = _last_baskets(past, of_order, basket)
        self._weighted = _spread(self._own)
        self._regression = _regression(self._weighted)
        recent = _capped(past.table(np.exp2(-past.age / 90)))
        self._recent = _spread(recent)
        self._recent_regression = _regression(self._recent)
        self._towers = _towers(self._own)
        self._pool = _pool(past)
        lately = _capped(past.table(np.exp2(-past.age / 30)))
        self._lately, self._pooled = lately[self._pool], self._own[self._pool]
        self._likened = _rare_first(self._own)

    def scores(self, users: Rows) -> Mapping[str, Floats]:
        """Return scores of [user, product] by name; 0 where nothing speaks for a product."""
        fading = self._fading[users]
        weight = np.sqrt(_row_sums(fading)) + 0.1
        last = self._last[users]
        users_lately, users_ever = self._neighbours(users)
        left, right = self._towers
        return {
            "like_orders": (fading @ self._by_users) / weight,
            "like_basket": (last @ self._by_baskets) / np.sqrt(np.maximum(_row_sums(last), 1.0)),
            "like_users_lately": users_lately,
            "like_users": users_ever,
            "regression": self._weighted[users] @ self._regression,
            "regression_recent": self._recent[users] @ self._recent_regression,
            "embedding": left[users] @ right,
        }

    def _neighbours(self, users: Rows) -> tuple[Floats, Floats]:
        """What the users most like each ordered lately and ever; nobody is their own neighbour."""
        alike = (self._likened[users] @ self._likened[self._pool].T).toarray()
        alike[users[:, None] == self._pool[None, :]] = 0.0
        if alike.shape[1] > _MOST_NEIGHBOURS:
            kept = np.partition(alike, -_MOST_NEIGHBOURS, axis=1)[:, [-_MOST_NEIGHBOURS]]
            alike[alike < kept] = 0.0
        total = alike.sum(axis=1, keepdims=True) + 0.5
        return (alike @ self._lately) / total, (alike @ self._pooled) / total


def _binary(table: Any) -> Any:
    table.data[:] = 1.0
    return table


def _capped(table: Any) -> Any:
    np.minimum(table.data, 1.0, out=table.data)
    return table


def _row_sums(table: Any) -> Floats:
    return np.asarray(table.sum(axis=1), np.float32)[:, None]


def _spread(table: Any) -> Any:
    """Divide each user's row, so that who ordered much says little more than others."""
    totals = np.asarray(table.sum(axis=1), np.float32)
    return sparse.csr_array(sparse.diags_array(1 / np.sqrt(totals + 1)) @ table)


def _rare_first(table: Any) -> Any:
    """Weigh products by how few ordered them; rows then have length 1."""
    counts = np.asarray(table.sum(axis=0))
    rarity = np.maximum(np.log(table.shape[0] / (1 + counts)), 0.1).astype(np.float32)
    weighted = sparse.csr_array(table @ sparse.diags_array(rarity))
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1))) + 1e-6
    return sparse.csr_array(sparse.diags_array((1 / lengths).astype(np.float32)) @ weighted)


def _cosine(table: Any) -> Floats:
    """Likeness of products by who, or which basket, holds both; few in common count less."""
    counts = np.asarray(table.sum(axis=0), np.float32)
    alike: Floats = (table.T @ table).toarray().astype(np.float32)
    np.fill_diagonal(alike, 0.0)
    alike /= np.sqrt(np.outer(counts, counts)) + _SHRINK
    return alike


def _regression(table: Any) -> Floats:
    """Weights that tell each product from all others by ridge regression (Steck, 2019)."""
    gram: Floats = np.asfortranarray((table.T @ table).toarray(), np.float32)
    gram[np.diag_indices_from(gram)] += _RIDGE
    factor, failed = lapack.spotrf(gram, lower=0, overwrite_a=1)
    inverse, also_failed = lapack.spotri(factor, lower=0, overwrite_c=1)
    if failed or also_failed:
        raise ArithmeticError("a Gram matrix with a ridge is positive definite")
    upper = np.triu(inverse)
    inverse = upper + np.triu(upper, 1).T
    weights: Floats = -inverse / np.diag(inverse)[None, :]
    np.fill_diagonal(weights, 0.0)
    return weights


def _towers(table: Any) -> tuple[Floats, Floats]:
    """Embeddings of users and of products whose product is near the table; both may be empty."""
    totals = np.asarray(table.sum(axis=1), np.float32)
    counts = np.asarray(table.sum(axis=0), np.float32)
    scaled = (
        sparse.diags_array(1 / np.sqrt(totals + 1))
        @ table
        @ sparse.diags_array(1 / np.sqrt(counts + _SHRINK))
    )
    size = min(_EMBEDDING_SIZE, min(table.shape) - 1)
    if size < 1:
        return np.zeros((table.shape[0], 1), np.float32), np.zeros((1, table.shape[1]), np.float32)
    start = np.ones(min(table.shape), np.float32)  # a random one would be another each time
    left, middle, right = svds(sparse.csr_array(scaled), k=size, v0=start)
    return (left * middle).astype(np.float32), right.astype(np.float32)


def _baskets(past: Past) -> tuple[Any, npt.NDArray[np.int64]]:
    """Orders of users by product, and the row of each of the past's lines."""
    orders, rows = np.unique(past.order, return_inverse=True)
    values = np.ones(len(rows), np.float32)
    shape = (len(orders), past.shape[1])
    return sparse.csr_array((values, (rows, past.product)), shape=shape), rows


def _last_baskets(past: Past, rows: npt.NDArray[np.int64], baskets: Any) -> Any:
    """The last order of each user by product."""
    order = np.argsort(-past.age, kind="stable")
    last = np.zeros(past.shape[0], np.int64)
    last[past.user[order]] = rows[order]
    return baskets[last]


def _pool(past: Past) -> npt.NDArray[np.int64]:
    """Places of the users who ordered last, ascending."""
    newest = np.full(past.shape[0], np.inf)
    np.minimum.at(newest, past.user, past.age)
    return np.sort(np.argsort(newest, kind="stable")[:_LARGEST_POOL])
