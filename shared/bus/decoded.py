"""Messages of the bus as rows of events, for those who read the bus beside ingestion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.bus.port import Partition, Record


@dataclass(frozen=True)
class DecodedEvents:
    """Consecutive records of one partition, read as ingestion reads them."""

    rows: pa.RecordBatch
    """Rows of table `events` in the order of the records, those refused left out."""
    edges: pa.RecordBatch
    """Which keys the rows name together: message_id, from_key, to_key, event_time."""
    places: NDArray[np.int64]
    """Of each row, the place of its record."""
    refused: Mapping[str, int]
    """How many records were no events, by reason."""


class EventDecoder(Protocol):
    """Reads messages as ingestion does."""

    def decode(self, partition: Partition, records: Sequence[Record]) -> DecodedEvents:
        """Return what some records say; tombstones say nothing."""
