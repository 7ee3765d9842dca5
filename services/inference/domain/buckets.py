"""Batch sizes that programs are compiled for, and how rows are cut into them."""

from collections.abc import Iterator

import numpy as np

from services.inference.domain.prediction import Floats

_MOST_PADDING = 4


def cut(row_count: int, buckets: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Yield (start, stop, bucket) that cover the rows in order.

    A piece takes the next larger bucket unless more than three quarters of it would be padding.

    Args:
        row_count: Rows to cover.
        buckets: Compiled batch sizes, ascending.

    >>> list(cut(600, (8, 32, 128, 512, 4096)))
    [(0, 512, 512), (512, 600, 128)]
    """
    start = 0
    while start < row_count:
        left = row_count - start
        holding = next((bucket for bucket in buckets if bucket >= left), buckets[-1])
        fitting = [bucket for bucket in buckets if bucket <= left]
        bucket = fitting[-1] if fitting and holding > _MOST_PADDING * left else holding
        stop = min(start + bucket, row_count)
        yield start, stop, bucket
        start = stop


def pad(rows: Floats, bucket: int) -> Floats:
    """Append rows of missing values up to the bucket; a full block is returned as it is."""
    missing = bucket - len(rows)
    if missing == 0:
        return rows
    filler = np.full((missing, *rows.shape[1:]), np.nan, rows.dtype)
    return np.concatenate([rows, filler])
