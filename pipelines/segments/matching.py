"""Which group of a new fit is which group of the last one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

LEAST_OVERLAP = 0.25
"""Groups of which fewer customers are in both are not the same group."""

LEAST_LIKENESS = 0.85


def matched(likeness: Floats, least: float) -> dict[int, int]:
    """The old group of each new one that has one, so that all pairs together are most alike.

    Args:
        likeness: [old, new], 0 to 1.
        least: Pairs that are less alike are none.

    >>> matched(np.array([[0.9, 0.6], [0.5, 0.0]]), 0.3)
    {1: 0, 0: 1}
    """
    pairs = zip(*linear_sum_assignment(-likeness), strict=True)
    return {int(new): int(old) for old, new in pairs if likeness[old, new] >= least}


def overlap(old: Labels, new: Labels, old_count: int, new_count: int) -> Floats:
    """Customers in both of two groups as a share of those in either (Jaccard), [old, new].

    Args:
        old: Group of each customer in the last fit.
        new: Group of the same customers in the new one.
        old_count: Groups of the last fit.
        new_count: Groups of the new one.
    """
    both = np.zeros((old_count, new_count))
    np.add.at(both, (old, new), 1.0)
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    shares: Floats = both / np.maximum(either, 1.0)
    return shares


def likeness(old: Floats, new: Floats) -> Floats:
    """How alike groups are by where they stand among all customers, [old, new].

    Args:
        old: [group, axis], standings from 0 to 1.
        new: The same of the other groups.
    """
    alike: Floats = 1.0 - np.abs(old[:, None, :] - new[None, :, :]).mean(axis=2)
    return alike
