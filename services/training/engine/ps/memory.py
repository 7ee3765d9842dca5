"""Memory for arrays that arrive: aligned, so that a device on the CPU can read it in place."""

from typing import Any

import numpy as np

from services.training.engine.rows import NumpyArray

CACHE_LINE = 64


def aligned(size: int, dtype: np.dtype[Any]) -> NumpyArray:
    """An uninitialised vector that starts at a cache line."""
    raw = np.empty(size * dtype.itemsize + CACHE_LINE, np.uint8)
    offset = -raw.ctypes.data % CACHE_LINE
    return raw[offset : offset + size * dtype.itemsize].view(dtype)


def as_bytes(array: NumpyArray) -> memoryview:
    """The bytes of a contiguous vector, in place; `memoryview.cast` refuses empty ones."""
    view: memoryview = array.view(np.uint8).data
    return view
