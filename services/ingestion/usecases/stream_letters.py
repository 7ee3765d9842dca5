"""Keeps what the bus delivered and nobody can store: once for each offset."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from services.ingestion.domain.batch import Batch
from services.ingestion.domain.findings import Fault
from services.ingestion.domain.identity import hex_ids, text_digests, text_keys
from services.ingestion.domain.keyset import KeySet
from services.ingestion.domain.table import REJECTED
from services.ingestion.usecases import stored
from services.ingestion.usecases.letters import refusals
from services.ingestion.usecases.memory import Stores
from services.ingestion.usecases.ports import Layout, Letter, Refusal


class StreamLetterBox:
    """A `LetterBox` for records of the bus: the place of a record is its letter's identity.

    Args:
        stores: Where to.
        source: Name of the source.
        layout: How their bytes are to be read again.
        now_milliseconds: When they are rejected.
    """

    def __init__(
        self, stores: Stores, *, source: str, layout: Layout, now_milliseconds: int
    ) -> None:
        self._stores, self._source = stores, source
        self._layout, self._now = layout, now_milliseconds
        self.refused: list[tuple[int, Refusal]] = []
        """Place in the batch of what was refused, and why."""

    def keep(self, batch: Batch, faults: Sequence[Fault]) -> tuple[Refusal, ...]:
        """See `LetterBox.keep`."""
        if not faults:
            return ()
        ordered = sorted(faults, key=lambda fault: fault.index)
        places = [fault.index for fault in ordered]
        # One by one: together they would come in the order of offsets, which streams share.
        pairs = [pair for fault in ordered for pair in refusals(batch, [fault])]
        streams = batch.arrivals.streams if batch.arrivals else pa.nulls(len(batch.rows))
        origins = streams.take(pa.array(places)).to_pylist()
        refused = [refusal for refusal, _ in pairs]
        self.refused += zip(places, refused, strict=True)
        ids = record_ids(origins, [refusal.row for refusal in refused])
        with self._stores.lock:
            known = KeySet(stored.rejection_keys_among(self._stores.warehouse, ids))
            fresh = np.flatnonzero(~known.contains(text_keys(pa.array(ids)))).tolist()
            if fresh:
                letters = [Letter(ids[place], pairs[place][1], self._layout) for place in fresh]
                self._stores.vault.keep(letters)
                rows = self._table(ids, origins, refused).take(pa.array(fresh))
                self._stores.warehouse.insert("events_rejected", rows)
        return tuple(refused)

    def _table(
        self, ids: Sequence[str], origins: Sequence[str], refused: Sequence[Refusal]
    ) -> pa.Table:
        count = len(ids)
        columns = {
            "rejection_id": ids,
            "source": [self._source] * count,
            "origin": origins,
            "row": [refusal.row for refusal in refused],
            "reason": [refusal.reason for refusal in refused],
            "field": [refusal.field for refusal in refused],
            "message": [refusal.message for refusal in refused],
            "mapping": [self._layout.mapping] * count,
            "reject_time": pa.array(np.full(count, self._now)).cast(pa.timestamp("ms", "UTC")),
        }
        return pa.table(columns, schema=REJECTED)


def record_ids(streams: Sequence[str], offsets: Sequence[int]) -> list[str]:
    """Return an id for each place on the bus."""
    texts = [f"{stream}/{offset}" for stream, offset in zip(streams, offsets, strict=True)]
    ids: list[str] = hex_ids(text_digests(pa.array(texts, pa.string()))).to_pylist()
    return ids
