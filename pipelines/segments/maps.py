"""A map of customers: where a model places them, on two axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from pipelines.segments.discovered import Map

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAPPED = 1_000
"""Customers on a map: as many as an eye tells apart and a page carries."""


def map_of(points: Floats, segment: Ints) -> Map:
    """Some of the customers on two axes, evenly spread over all.

    Args:
        points: Embeddings.
        segment: Id of each customer's segment.
    """
    order = np.lexsort(points.T[::-1])
    chosen = order[np.linspace(0, len(order) - 1, min(len(order), MAPPED)).astype(np.int64)]
    with threadpool_limits(1):
        axes = PCA(2, svd_solver="covariance_eigh").fit(points[order])
        placed = np.round(axes.transform(points[chosen]), 3) + 0.0
    return Map(
        x=tuple(placed[:, 0].tolist()),
        y=tuple(placed[:, 1].tolist()),
        segment=tuple(segment[chosen].tolist()),
        kept_share=float(axes.explained_variance_ratio_.sum()),
    )
