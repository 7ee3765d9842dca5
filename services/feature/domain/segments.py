"""Limits of the value segments."""

import numpy as np
import numpy.typing as npt


def segment_limits_micros(spend_micros: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Return the spend that parts the low from the middle and the middle from the high third.

    Args:
        spend_micros: Spend of each user in a window; those without spend do not count.

    >>> segment_limits_micros(np.array([0, 10, 20, 30, 40]))
    (20, 30)
    """
    spenders = spend_micros[spend_micros > 0]
    if len(spenders) == 0:
        return (0, 0)
    low, high = np.quantile(spenders.astype(np.float64), [1 / 3, 2 / 3])
    return round(float(low)), round(float(high))
