"""Rows of a dataset whose label is how long until something happens."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from services.training.runs.rows import NumpyArray, Rows, history_columns, read_rows
from shared.dataset import DatasetReader
from shared.errors import FailedPreconditionError
from shared.features.waits import ORDER


@dataclass(frozen=True)
class WaitRows:
    """One row per user and instant.

    Attributes:
        rows: As for any question about users, with 1 as the spend of those for whom it happened.
        days: float64 days until it happened, NaN where it did not within the horizon.
    """

    rows: Rows
    days: NumpyArray

    def __len__(self) -> int:
        """Rows."""
        return len(self.days)

    @property
    def eligible(self) -> "WaitRows":
        """Rows of those of whom the question asks."""
        return self.where(self.rows.eligible)

    def where(self, mask: Any) -> "WaitRows":
        """The rows that a mask keeps."""
        return WaitRows(self.rows.where(mask), self.days[mask])


def read_waits(reader: DatasetReader, as_ofs: tuple[datetime, ...]) -> WaitRows:
    """Rows of these instants with their waits.

    Only of orders do models of a customer base know anything, so only then do rows name their
    columns.

    Raises:
        FailedPreconditionError: The dataset has no such label.
    """
    days = reader.arrays(as_ofs).wait_days
    if days is None:
        raise FailedPreconditionError(
            "the dataset does not say how long until anything happens; build it for this "
            "prediction file, with purpose TRAINING",
            reason="DATASET_WITHOUT_LABELS",
        )
    days = np.asarray(days, np.float64)
    rows = read_rows(reader, as_ofs)
    names = reader.manifest.feature_names
    history = history_columns(names) if reader.manifest.awaited == ORDER else ()
    return WaitRows(
        replace(rows, spend=np.isfinite(days).astype(np.float64), history=history), days
    )
