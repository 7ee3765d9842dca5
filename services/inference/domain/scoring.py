"""What a batch adds to the program's outputs: identity and rank."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import xxhash
from numpy.typing import NDArray

from services.inference.domain.prediction import Floats

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def percentiles(probabilities: Floats) -> NDArray[np.float64]:
    """Return where each probability stands among all of them, in (0, 100); ties share a place.

    >>> percentiles(np.array([0.1, 0.9, 0.5, 0.5], np.float32)).tolist()
    [12.5, 87.5, 50.0, 50.0]
    """
    ascending = np.sort(probabilities)
    below = np.searchsorted(ascending, probabilities, side="left")
    through = np.searchsorted(ascending, probabilities, side="right")
    return (below + through).astype(np.float64) * (50.0 / max(len(ascending), 1))


def prediction_ids(model_version: str, as_of: datetime, user_keys: Iterable[int]) -> list[str]:
    """Return the identity of what a version says of users as of an instant.

    The XXH3-128, in hexadecimal, of the version's name, the instant in milliseconds since 1970
    and the pseudonym, with "|" between them.
    """
    milliseconds = (as_of - _EPOCH) // timedelta(milliseconds=1)
    prefix = f"{model_version}|{milliseconds}|"
    return [xxhash.xxh3_128_hexdigest(f"{prefix}{key}".encode()) for key in user_keys]
