"""Groups of points, as many as come out again when some of the points are left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from pipelines.segments.matching import overlap

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

FEWEST, MOST = 3, 8
"""How many groups people can keep in mind and still act on."""

AGREED = 0.6
"""Share of a group that has to come out again: less is no pattern (Hennig, 2007)."""

STILL_AGREED, CLEARLY_AGREED = 0.5, 0.75
"""From which a number of groups stays, and from which a larger one takes its place."""

AS_GOOD = 1.05
"""A grouping whose spread is at most this many times the best one's is kept for continuity."""

SAMPLE = 10_000
JUDGED = 4_000
LEAST_EACH = 20

_DRAWS = 6
_BLOCK = 65_536


def centres_of(points: Floats, before: Labels | None = None) -> Floats:
    """Centres [group, number] of groups, in no order that means anything.

    The number of groups is the largest from FEWEST to MOST that is reproducible: each group comes
    out again when a random half of the points is left out. Where points were grouped before, that
    number is kept unless it no longer is or a larger one clearly is, and the groups as long as they
    are as good as the best: customers should not change groups because a network was fitted again.

    Args:
        points: [point, number], at least FEWEST * LEAST_EACH; their order has no say.
        before: Group of each point in an earlier grouping.
    """
    order = np.lexsort(points.T[::-1])
    chosen = order[np.linspace(0, len(order) - 1, min(len(order), SAMPLE)).astype(np.int64)]
    some = points[chosen]
    # Threads add up in the order in which they happen to end.
    with threadpool_limits(1):
        starts = np.zeros((0, points.shape[1])) if before is None else _means(some, before[chosen])
        count = best_count(some, len(starts))
        best = _fitted(some, count, seed=0, starts=10)
        if count == len(starts):
            moved = KMeans(count, init=starts, n_init=1).fit(some)
            if moved.inertia_ <= AS_GOOD * best.inertia_:
                best = moved
    centres: Floats = best.cluster_centers_
    return centres


def best_count(points: Floats, before: int = 0) -> int:
    """The largest number of groups that is reproducible; where none is, the one that is most so.

    Args:
        points: To be grouped.
        before: How many groups there were, which is kept in doubt.
    """
    counts = range(FEWEST, max(FEWEST, min(MOST, len(points) // LEAST_EACH)) + 1)
    agreed = {count: agreement(points, count) for count in counts}
    more = any(agreed[count] >= CLEARLY_AGREED for count in counts if count > before)
    if agreed.get(before, 0.0) >= STILL_AGREED and not more:
        return before
    reproducible = [count for count, value in agreed.items() if value >= AGREED]
    return max(reproducible, default=max(agreed, key=lambda count: agreed[count]))


def agreement(points: Floats, count: int) -> float:
    """How far groups come out again when a random half of points is left out, 0 to 1.

    Each group is paired with one of the other grouping; what counts is the group that on average
    shares least with its pair (its Jaccard overlap), so that one group cut in two by chance is not
    made up for by all others.
    """
    some = points[np.random.default_rng(count).permutation(len(points))[:JUDGED]]
    groups = _fitted(some, count, seed=0, starts=5).predict(some)
    shared = np.zeros(count)
    for draw in range(_DRAWS):
        kept = np.random.default_rng((count, draw)).permutation(len(some))[: len(some) // 2]
        again = _fitted(some[kept], count, seed=draw, starts=2).predict(some)
        shares = overlap(groups, again, count, count)
        pairs = linear_sum_assignment(-shares)
        shared[pairs[0]] += shares[pairs]
    return float(shared.min() / _DRAWS)


def nearest(points: Floats, centres: Floats) -> Labels:
    """Place of the centre nearest to each point.

    >>> nearest(np.array([[0.1], [0.9]]), np.array([[1.0], [0.0]])).tolist()
    [1, 0]
    """
    found = np.zeros(len(points), np.int64)
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK, None, :] - centres[None, :, :]
        found[start : start + _BLOCK] = np.square(block).sum(axis=2).argmin(axis=1)
    return found


def _means(points: Floats, labels: Labels) -> Floats:
    """Mean of each group that still has enough points to speak of."""
    groups = [points[labels == group] for group in np.unique(labels)]
    kept = [group.mean(axis=0) for group in groups if len(group) >= LEAST_EACH]
    return np.array(kept).reshape(-1, points.shape[1])


def _fitted(points: Floats, count: int, *, seed: int, starts: int) -> Any:
    return KMeans(count, n_init=starts, random_state=seed).fit(points)
