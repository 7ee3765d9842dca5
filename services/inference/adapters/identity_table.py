"""Who is one person, as the warehouse knows it."""

from datetime import datetime

import numpy as np

from services.inference.domain.prediction import Keys
from shared.warehouse import Warehouse


class IdentityTable:
    """The table `identity`."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def pairs(self, as_of: datetime, known_at: datetime) -> tuple[Keys, Keys]:
        """Return pairs of keys joined before an instant, as known at another."""
        rows = self._warehouse.query(
            "SELECT DISTINCT from_key, to_key FROM identity "
            "WHERE event_time < {as_of:DateTime64(3, 'UTC')} "
            "AND ingest_time <= {known_at:DateTime64(3, 'UTC')}",
            {"as_of": as_of, "known_at": known_at},
        )
        first, second = (
            np.asarray(rows.column(name).combine_chunks(), np.uint64)
            for name in ("from_key", "to_key")
        )
        return first, second
