"""Keeps rejected rows: the reason in the warehouse, the bytes in the vault."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from services.ingestion.domain.batch import Batch
from services.ingestion.domain.findings import Fault
from services.ingestion.domain.identity import (
    hex_ids,
    nth_digests,
    occurrences_within,
    row_digests,
    text_keys,
)
from services.ingestion.domain.keyset import KeySet
from services.ingestion.domain.reasons import message, shape
from services.ingestion.domain.table import REJECTED
from services.ingestion.usecases import stored
from services.ingestion.usecases.memory import Stores
from services.ingestion.usecases.ports import Layout, Letter, Refusal

_FEW = 1_000  # more are told apart by reading the ids of all letters once


class LetterBox(Protocol):
    """Takes what cannot be stored as an event."""

    def keep(self, batch: Batch, faults: Sequence[Fault]) -> tuple[Refusal, ...]:
        """Keep the broken rows of a batch and those with faults; returns why, by row."""


def refusals(batch: Batch, faults: Sequence[Fault]) -> list[tuple[Refusal, bytes]]:
    """Return why rows were refused, with their bytes, in the order of the source."""
    rows = batch.rows.take(pa.array([fault.index for fault in faults], pa.int64())).to_pylist()
    payloads = batch.payloads([fault.index for fault in faults])
    pairs = [
        (_refusal(row, fault), payload)
        for row, fault, payload in zip(rows, faults, payloads, strict=True)
    ]
    pairs += [
        (
            Refusal(
                broken.row,
                broken.reason.name,
                broken.field,
                message(broken.reason, broken.field, None),
            ),
            broken.payload,
        )
        for broken in batch.broken
    ]
    return sorted(pairs, key=lambda pair: pair[0].row)


def _refusal(row: int, fault: Fault) -> Refusal:
    value = None if fault.value is None else shape(fault.value)
    return Refusal(row, fault.reason.name, fault.field, message(fault.reason, fault.field, value))


class DurableLetterBox:
    """Stores letters once, however often the same bytes come.

    Args:
        stores: Where to.
        source: Name of the source.
        origin: File or door they came by.
        layout: How their bytes are to be read again.
        mapping_name: Mapping under which they failed.
        now_milliseconds: When they are rejected.
    """

    def __init__(
        self,
        stores: Stores,
        *,
        source: str,
        origin: str,
        layout: Layout,
        mapping_name: str,
        now_milliseconds: int,
    ) -> None:
        self._stores, self._source, self._origin = stores, source, origin
        self._layout, self._mapping_name = layout, mapping_name
        self._now = now_milliseconds
        self._met = KeySet()
        self._all: KeySet | None = None

    def keep(self, batch: Batch, faults: Sequence[Fault]) -> tuple[Refusal, ...]:
        """See `LetterBox.keep`."""
        pairs = refusals(batch, faults)
        if not pairs:
            return ()
        bytes_of = pa.array([payload for _, payload in pairs], pa.large_binary())
        digests = row_digests(self._source, bytes_of)
        nth = self._met.counts(digests) + occurrences_within(digests)
        self._met.add(digests)
        ids = hex_ids(nth_digests(digests, nth)).to_pylist()
        with self._stores.lock:
            is_known = self._stored(ids).contains(text_keys(pa.array(ids)))
            fresh = np.flatnonzero(~is_known).tolist()
            if fresh:
                self._stores.vault.keep(
                    [Letter(ids[place], pairs[place][1], self._layout) for place in fresh]
                )
                rows = self._table([ids[p] for p in fresh], [pairs[p][0] for p in fresh])
                self._stores.warehouse.insert("events_rejected", rows)
        return tuple(refusal for refusal, _ in pairs)

    def _stored(self, ids: list[str]) -> KeySet:
        warehouse = self._stores.warehouse
        if self._all is None and len(ids) <= _FEW:
            return KeySet(stored.rejection_keys_among(warehouse, ids))
        if self._all is None:
            self._all = KeySet(stored.rejection_keys(warehouse, self._source))
        return self._all

    def _table(self, ids: list[str], refused: list[Refusal]) -> pa.Table:
        count = len(ids)
        columns = {
            "rejection_id": ids,
            "source": [self._source] * count,
            "origin": [self._origin] * count,
            "row": [refusal.row for refusal in refused],
            "reason": [refusal.reason for refusal in refused],
            "field": [refusal.field for refusal in refused],
            "message": [refusal.message for refusal in refused],
            "mapping": [self._mapping_name] * count,
            "reject_time": pa.array(np.full(count, self._now)).cast(pa.timestamp("ms", "UTC")),
        }
        return pa.table(columns, schema=REJECTED)
