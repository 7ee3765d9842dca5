"""Features kept up event by event, out of the declarations that datasets are built of."""

from shared.features.online.block import COLUMNS
from shared.features.online.features import EDGES, OnlineFeatures
from shared.features.online.outcomes import (
    Applied,
    OnlineSettings,
    Outcome,
    Rows,
    StateReport,
    Status,
)

__all__ = [
    "COLUMNS",
    "EDGES",
    "Applied",
    "OnlineFeatures",
    "OnlineSettings",
    "Outcome",
    "Rows",
    "StateReport",
    "Status",
]
