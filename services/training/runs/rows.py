"""Rows of a dataset as training uses them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from shared.dataset import DatasetReader
from shared.errors import FailedPreconditionError
from shared.features import step_columns

NumpyArray = np.ndarray[Any, Any]

Steps = tuple[tuple[int, ...], ...]

HISTORY = ("order_days_ever", "recency_days", "tenure_days", "gross_ever")
"""Features that models of a customer base read."""

DAY = 86_400_000
"""Milliseconds."""


@dataclass(frozen=True)
class Rows:
    """One row per user and instant.

    Attributes:
        user_keys: uint64 pseudonym.
        as_ofs: int64 milliseconds since 1970.
        eligible: Whether the question fits the user.
        features: float32 [row, feature]; NaN is missing.
        spend: float64 gross spend in the horizon, in currency units.
        steps: For each step of the users' sequences, the earliest first, its columns of
            `features`; empty where the data has none.
        history: Columns of `features` that models of a customer base read; empty where one of
            them is missing.
    """

    user_keys: NumpyArray
    as_ofs: NumpyArray
    eligible: NumpyArray
    features: NumpyArray
    spend: NumpyArray
    steps: Steps = ()
    history: tuple[int, ...] = ()

    def __len__(self) -> int:
        """Rows."""
        return len(self.user_keys)

    @property
    def is_active(self) -> NumpyArray:
        """Whether there was any spend in the horizon."""
        active: NumpyArray = self.spend > 0
        return active

    def where(self, mask: NumpyArray) -> "Rows":
        """The rows that a mask keeps."""
        return Rows(
            self.user_keys[mask],
            self.as_ofs[mask],
            self.eligible[mask],
            self.features[mask],
            self.spend[mask],
            self.steps,
            self.history,
        )


def history_columns(names: Sequence[str]) -> tuple[int, ...]:
    """Places of the features models of a customer base read; none where one is missing.

    >>> history_columns(["gross_ever", "tenure_days", "recency_days", "order_days_ever"])
    (3, 2, 1, 0)
    """
    places = {name: place for place, name in enumerate(names)}
    return tuple(places[name] for name in HISTORY) if set(HISTORY) <= set(names) else ()


def groups(user_keys: NumpyArray, count: int) -> NumpyArray:
    """The group of each user's rows, from 0: a mixed hash of the key, so all rows go together."""
    mixed = user_keys.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return (mixed % np.uint64(count)).astype(np.int64)


def ages_weight(as_ofs: NumpyArray, half_life_days: float) -> NumpyArray:
    """float32 weight of each row: 1 at the latest instant, half of it every half-life before."""
    if not half_life_days or not len(as_ofs):
        return np.ones(len(as_ofs), np.float32)
    age_days = (as_ofs.max() - as_ofs) / DAY
    weights: NumpyArray = np.exp2(-age_days / half_life_days).astype(np.float32)
    return weights


def thin(weights: NumpyArray, user_keys: NumpyArray, most: int) -> tuple[NumpyArray, NumpyArray]:
    """Choose about `most` rows, heavy ones first, so that every weighted mean stays what it was.

    A row is kept with a chance in proportion to its weight, and counts the more the smaller that
    chance was. Which rows are kept depends on keys and order alone.

    Returns:
        Places of the kept rows, ascending, and their float32 weights.
    """
    if len(weights) <= most:
        return np.arange(len(weights)), weights
    chances = np.minimum(1.0, most * weights / weights.sum(dtype=np.float64))
    mixed = groups(user_keys + np.arange(len(user_keys), dtype=np.uint64), 2**32)
    kept = np.flatnonzero(mixed / 2**32 < chances)
    return kept, (weights[kept] / chances[kept]).astype(np.float32)


def read_rows(reader: DatasetReader, as_ofs: tuple[datetime, ...]) -> Rows:
    """Rows of these instants with their labels.

    Raises:
        FailedPreconditionError: The dataset has none.
    """
    arrays = reader.arrays(as_ofs)
    if arrays.spend_micros is None:
        raise FailedPreconditionError(
            "the dataset has no labels; build one with purpose TRAINING",
            reason="DATASET_WITHOUT_LABELS",
        )
    return Rows(
        user_keys=np.asarray(arrays.user_keys),
        as_ofs=np.asarray(arrays.as_ofs).astype("datetime64[ms]").astype(np.int64),
        eligible=np.asarray(arrays.eligible, dtype=bool),
        features=np.asarray(arrays.features, dtype=np.float32),
        spend=np.asarray(arrays.spend_micros).astype(np.float64) / 1e6,
        steps=step_columns(reader.manifest.feature_names),
        history=history_columns(reader.manifest.feature_names),
    )
