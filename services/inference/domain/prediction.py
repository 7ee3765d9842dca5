"""What Oriel says of a user, one at a time and in blocks."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Keys = NDArray[np.uint64]
Flags = NDArray[np.bool_]

MICROS = 1_000_000


class Status(Enum):
    """How a prediction came about."""

    PREDICTED = 1
    INELIGIBLE = 2
    UNKNOWN_USER = 3


@dataclass(frozen=True)
class Reason:
    """What pushed a prediction up or down; the contribution is in logits of being active."""

    feature: str
    text: str
    contribution: float


@dataclass(frozen=True)
class Prediction:
    """What Oriel says of one user; `user_key` is 0 for features without a user."""

    user_key: int
    status: Status
    ineligible_reason: str
    active_probability: float
    churn_probability: float
    expected_value_micros: int
    segment_probabilities: tuple[float, ...]
    segment: int
    value_low_micros: int
    value_high_micros: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Outputs:
    """What the `predict` program says of a block of rows."""

    active_probability: Floats
    """[row], in [0, 1]."""
    churn_probability: Floats
    """[row], 1 - active_probability."""
    expected_value: Floats
    """[row], currency units."""
    segment_probabilities: Floats
    """[row, 4], rows sum to 1."""
    segment: Floats
    """[row], the segment decided on: 0, 1, 2 or 3."""
    value_low: Floats
    """[row], currency units; where the interval of sales begins."""
    value_high: Floats
    """[row], currency units; where it ends."""

    @property
    def expected_value_micros(self) -> NDArray[np.int64]:
        """Expected sales in micros of the currency."""
        return _micros(self.expected_value)

    @property
    def value_low_micros(self) -> NDArray[np.int64]:
        """Begin of the interval of sales in micros of the currency."""
        return _micros(self.value_low)

    @property
    def value_high_micros(self) -> NDArray[np.int64]:
        """End of the interval of sales in micros of the currency."""
        return _micros(self.value_high)

    @property
    def segments(self) -> NDArray[np.int8]:
        """The segment decided on."""
        return self.segment.astype(np.int8)


def _micros(amounts: Floats) -> NDArray[np.int64]:
    return np.rint(amounts.astype(np.float64) * MICROS).astype(np.int64)


@dataclass(frozen=True)
class Attribution:
    """What the `attribute` program says: contributions[row].sum() + baseline = logit[row]."""

    contributions: Floats
    """[row, feature], in logits of being active."""
    logit: Floats
    """[row]."""
    baseline_logit: float
    """Logit of the baseline that the contributions start from."""


@dataclass(frozen=True)
class ModelFacts:
    """What serving needs to know of a model version."""

    name: str
    features: tuple[str, ...]
    feature_set_version: str
    dataset_hash: str
    horizon: timedelta

    @classmethod
    def of(cls, name: str, manifest: Any) -> "ModelFacts":
        """Read the facts from a version's manifest."""
        return cls(
            name=name,
            features=tuple(manifest["features"]),
            feature_set_version=str(manifest["feature_set_version"]),
            dataset_hash=str(manifest["dataset_hash"]),
            horizon=timedelta(days=manifest["horizon_days"]),
        )
