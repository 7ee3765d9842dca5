"""Messages of the bus as a batch."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from services.ingestion.domain.batch import JSON_COLUMN, Arrivals, Batch
from shared.bus import Partition, Record


def stream_batch(records: Sequence[tuple[Partition, Record]], now_milliseconds: int) -> Batch:
    """Return what was read as a batch that knows where each message came from, and when."""
    values = [record.value or b"" for _, record in records]
    streams = [str(partition) for partition, _ in records]
    times = np.array([record.timestamp for _, record in records], dtype=np.int64)
    # A sender's clock may be wrong; nothing is known before it is read.
    times = np.where(times > 0, np.minimum(times, now_milliseconds), now_milliseconds)
    ids = [
        _id(record) or f"{stream}/{record.offset}"
        for stream, (_, record) in zip(streams, records, strict=True)
    ]
    return Batch(
        pa.table({JSON_COLUMN: pa.array(values, pa.large_binary())}),
        pa.array([record.offset for _, record in records], pa.int64()),
        lambda places: [values[place] for place in places],
        arrivals=Arrivals(pa.array(streams, pa.string()), pa.array(ids, pa.string()), times),
    )


def _id(record: Record) -> str:
    for name, value in record.headers:
        if name == "ce_id":
            return value.decode("utf-8", "backslashreplace")
    return ""
