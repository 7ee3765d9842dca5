"""What the updater is told, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Whole = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Outcomes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


class Outcome(IntEnum):
    """What became of one row of a block."""

    APPLIED = 0
    DUPLICATE = 1
    """A row with its message id arrived before."""
    LATE = 2
    """Older than the watermark less the allowed lateness: its user is marked for a rebuild."""
    ANONYMOUS = 3
    """It names neither a user nor a visitor, so no feature of anybody reads it."""


class Status(IntEnum):
    """What a value is worth."""

    PRESENT = 0
    MISSING = 1
    """The user is known and has no such value yet; it is NaN."""
    UNKNOWN = 2
    """The user was not known before as_of; all values are NaN."""
    STALE = 3
    """An event came later than allowed: the values lack it until a rebuild."""
    TOO_OLD = 4
    """as_of lies before what is kept event by event; all values are NaN."""


@dataclass(frozen=True)
class OnlineSettings:
    """How a state is kept.

    Attributes:
        zone: IANA name of the workspace's zone, whose midnights part days.
        allowed_lateness: How long after the newest event an older one is still taken in, exactly.
    """

    zone: str
    allowed_lateness: timedelta = timedelta(days=7)

    @property
    def lateness_ms(self) -> int:
        """The allowed lateness in whole milliseconds."""
        return self.allowed_lateness // timedelta(milliseconds=1)


@dataclass(frozen=True)
class Applied:
    """What became of a block.

    Attributes:
        outcomes: An `Outcome` for each row, in the order of the block.
    """

    outcomes: Outcomes

    def count(self, outcome: Outcome) -> int:
        """How many rows had an outcome."""
        return int(np.count_nonzero(self.outcomes == outcome))


@dataclass(frozen=True)
class Rows:
    """Feature values of some users, each at its instant.

    Attributes:
        values: One row for each user asked for, columns in the order of the declarations.
        persons: Under which user key each person goes; 0 where unknown.
        status: A `Status` for each row: PRESENT, UNKNOWN, STALE or TOO_OLD.
    """

    values: npt.NDArray[np.float32]
    persons: Keys
    status: npt.NDArray[np.uint8]

    def value_status(self) -> npt.NDArray[np.uint8]:
        """Return a `Status` for each value."""
        whole = np.broadcast_to(self.status[:, None], self.values.shape)
        is_missing = np.isnan(self.values) & (whole == Status.PRESENT)
        return np.where(is_missing, np.uint8(Status.MISSING), whole)


@dataclass(frozen=True)
class StateReport:
    """How much memory a state takes.

    Attributes:
        keys: Users and visitors it holds.
        stale: Keys marked for a rebuild.
        parts: Bytes of each part of the state.
        feature_bytes: Bytes a key for each feature: a part is shared out among its readers.
    """

    keys: int
    stale: int
    parts: Mapping[str, int]
    feature_bytes: Mapping[str, float]

    @property
    def bytes_per_key(self) -> float:
        """Bytes of all parts, a key."""
        return sum(self.parts.values()) / max(self.keys, 1)
