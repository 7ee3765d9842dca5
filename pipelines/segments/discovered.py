"""What is found of segments: whose each customer is, and what the report tells."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.segments.profiles import Profile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COLUMNS = ("user", "segment", "name", "previous")
NOBODY, UNKNOWN = 0, -1
"""Ids of customers who have not ordered yet, and of those who were not known."""


@dataclass(frozen=True)
class Map:
    """Some customers where the model places them, in the two directions they differ most in.

    Attributes:
        x: Of each customer, in an order that says nothing.
        y: Of each customer.
        segment: Id of each customer's segment.
        kept_share: Share of all differences that the two directions show.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    segment: tuple[int, ...]
    kept_share: float


@dataclass(frozen=True)
class Discovered:
    """Segments of customers.

    Attributes:
        names: By id, those who have not ordered under 0.
        profiles: By id, of customers who have ordered.
        user_keys: Of every customer known.
        segment: Id of each customer's segment.
        previous: Id of each customer's segment in the period before, by the same fit; UNKNOWN for
            those who were not known.
        period_days: How long before that was.
        map: Where customers lie.
        appeared: Names of segments that the fit before did not have.
        gone: Names of segments that only the fit before had.
    """

    names: Mapping[int, str]
    profiles: Mapping[int, Profile]
    user_keys: NDArray[np.uint64]
    segment: Ints
    previous: Ints
    period_days: int
    map: Map
    appeared: tuple[str, ...]
    gone: tuple[str, ...]

    def migration(self) -> tuple[tuple[int, ...], tuple[int, ...], Ints]:
        """Ids before, ids now, and how many customers known at both went from which to which."""
        is_known = self.previous != UNKNOWN
        old, new = self.previous[is_known], self.segment[is_known]
        rows, columns = (
            tuple(each for each in (*self.profiles, NOBODY) if each in self.profiles or each in ids)
            for ids in (old, new)
        )
        counts = np.array(
            [[int(((old == a) & (new == b)).sum()) for b in columns] for a in rows], np.int64
        )
        return rows, columns, counts

    def summary(self) -> dict[str, Any]:
        """Return what summary.json says of it."""
        rows, columns, counts = self.migration()
        stayed = sum(
            int(counts[rows.index(each), columns.index(each)]) for each in rows if each in columns
        )
        return {
            "segments": [
                {"segment": each, "name": self.names[each], "customers": profile.customers}
                for each, profile in self.profiles.items()
            ],
            "known_in_both_periods": int(counts.sum()),
            "stayed": stayed,
            "appeared": list(self.appeared),
            "gone": list(self.gone),
        }


def segments_csv(found: Discovered, shown_ids: Mapping[int, str]) -> bytes:
    """Return the file, a row a customer, ordered by the id shown.

    Args:
        found: Segments of all customers.
        shown_ids: What each user_key is called in files.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    rows = zip(
        found.user_keys.tolist(), found.segment.tolist(), found.previous.tolist(), strict=True
    )
    writer.writerows(
        sorted(
            [shown_ids[key], str(now), found.names[now], "" if was == UNKNOWN else str(was)]
            for key, now, was in rows
        )
    )
    return text.getvalue().encode()
