"""Plain rules that name products, over all products of a shop."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
from scipy import sparse

from services.feature.domain.product_lines import NOBODY, OrderLines

Scores = npt.NDArray[np.float64]

_SHRINK = 5.0
_MONTH = 30.0
_LITTLE = 1e-9


class Shelf:
    """What was ordered before a day, as tables of users and products.

    Args:
        lines: All lines; later ones are left out here.
        day: In days from 1970-01-01.
    """

    def __init__(self, lines: OrderLines, day: float) -> None:
        past = lines.rows(lines.days < day)
        self.count = len(lines.product_ids)
        lately = past.rows(past.days >= day - _MONTH)
        pairs = np.unique(lately.orders * self.count + lately.products)
        self.sold = np.bincount(pairs % self.count, minlength=self.count) * _LITTLE
        known = past.rows(past.keys != NOBODY)
        self.keys, users = np.unique(known.keys, return_inverse=True)
        once = np.unique(np.stack([users, known.orders, known.products]), axis=1)
        shape = (len(self.keys), self.count)
        ones = np.ones(once.shape[1])
        self.orders = sparse.csr_array((ones, (once[0], once[2])), shape=shape)
        self.owned = (self.orders > 0).astype(np.float64)
        self._lines, self._user = known, users

    def neighbours(self) -> Scores:
        """Likeness of products by the users who ordered both."""
        users = np.asarray(self.owned.sum(axis=0))
        alike: Scores = (self.owned.T @ self.owned).toarray()
        np.fill_diagonal(alike, 0.0)
        return alike / (np.sqrt(np.outer(users, users)) + _SHRINK)

    def steps(self) -> tuple[Scores, sparse.csr_array]:
        """How often a product of one order was followed by one of the next, and last orders."""
        orders, rows = np.unique(self._lines.orders, return_inverse=True)
        holds = sparse.csr_array(
            (np.ones(len(rows)), (rows, self._lines.products)), shape=(len(orders), self.count)
        )
        holds = (holds > 0).astype(np.float64)
        first = np.unique(rows, return_index=True)[1]
        user, at = self._user[first], self._lines.days[first]
        ranked = np.lexsort((at, user))
        follows = user[ranked[1:]] == user[ranked[:-1]]
        before, after = holds[ranked[:-1][follows]], holds[ranked[1:][follows]]
        counts: Scores = (before.T @ after).toarray()
        counts /= np.asarray(before.sum(axis=0))[:, None] + _SHRINK
        is_last = np.append(~follows, True)
        return counts, holds[ranked[is_last]]


def rules(shelf: Shelf, chunk: int = 512) -> Iterator[Mapping[str, tuple[Scores, Scores]]]:
    """Yield, for some users at a time, each rule's scores of any and of new products."""
    alike = shelf.neighbours()
    steps, last = shelf.steps()
    for start in range(0, len(shelf.keys), chunk):
        rows = slice(start, start + chunk)
        orders = shelf.orders[rows].toarray()
        best = np.broadcast_to(shelf.sold, orders.shape)
        nearest = shelf.owned[rows] @ alike
        next_step = last[rows] @ steps
        owned = 1e6 * (orders > 0)
        yield {
            "best sellers": (best, best),
            "own, then best sellers": (1e6 * orders + best, best),
            "item neighbours": (owned + nearest + best, nearest + best),
            "Markov": (owned + next_step + best, next_step + best),
        }
