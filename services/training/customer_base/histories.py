"""What these models know of a customer: three numbers of the orders, and the mean value of one."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.errors import InvalidArgumentError

NumpyArray = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Histories:
    """One row per customer who has ordered; all times in one unit.

    Args:
        repeats: Orders after the first.
        recency: Time from the first to the last order; 0 without repeats.
        age: Time from the first order to now.
        value: Mean value of the repeat orders; read only where there are any.

    Raises:
        InvalidArgumentError: The columns do not fit one another.
    """

    repeats: NumpyArray
    recency: NumpyArray
    age: NumpyArray
    value: NumpyArray | None = None

    def __post_init__(self) -> None:
        """Refuse what no customer can have done."""
        for name, wrong in (
            ("repeats", ~(self.repeats >= 0)),
            ("recency", ~((self.recency >= 0) & (self.recency <= self.age))),
            ("recency", (self.repeats == 0) & (self.recency != 0)),
            ("age", ~np.isfinite(self.age)),
        ):
            if wrong.any():
                row = int(np.flatnonzero(wrong)[0])
                raise InvalidArgumentError(
                    f"{name} of row {row} is impossible (repeats {self.repeats[row]}, recency "
                    f"{self.recency[row]}, age {self.age[row]}): needed are repeats >= 0, "
                    "0 <= recency <= age, and a recency of 0 without repeats",
                    reason="HISTORY_IMPOSSIBLE",
                    field=name,
                    row=row,
                )

    def __len__(self) -> int:
        """Customers."""
        return len(self.repeats)

    def distinct(self) -> tuple["Histories", NumpyArray]:
        """Each different order history once, and how many customers have it; values are left out.

        A likelihood sums over customers, so equal ones need to be looked at once only.
        """
        columns = np.stack([self.repeats, self.recency, self.age]).astype(np.float64)
        order = np.lexsort(columns)
        ordered = columns[:, order]
        is_new = np.ones(len(order), bool)
        is_new[1:] = (ordered[:, 1:] != ordered[:, :-1]).any(axis=0)
        starts = np.flatnonzero(is_new)
        counts = np.diff(np.append(starts, len(order)))
        return Histories(*ordered[:, starts]), counts
