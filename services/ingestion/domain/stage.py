"""A batch of any source of events into staged columns."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from services.ingestion.domain.batch import JSON_COLUMN, Arrivals, Batch
from services.ingestion.domain.findings import Findings
from services.ingestion.domain.flat import stage_flat
from services.ingestion.domain.mapping import Mapping, SourceKind
from services.ingestion.domain.segment import stage_segment
from services.ingestion.domain.sizes import reject_large_fields
from services.ingestion.domain.staged import StagedEvents


def stage(batch: Batch, mapping: Mapping, findings: Findings) -> StagedEvents:
    """Return the events of a batch; rows that cannot be taken apart are marked in `findings`."""
    if mapping.kind is SourceKind.SEGMENT:
        events = batch.table.column(JSON_COLUMN).to_pylist()
        staged = stage_segment(events, findings, mapping.limits.field_bytes)
        return staged if batch.arrivals is None else _arrived(staged, batch.arrivals, batch.rows)
    reject_large_fields(batch.table, findings, mapping.limits.field_bytes)
    return stage_flat(batch.table, mapping)


def _arrived(staged: StagedEvents, arrivals: Arrivals, offsets: pa.Array) -> StagedEvents:
    ids = staged.message_id
    is_given = pc.fill_null(pc.greater(pc.binary_length(ids), 0), False)
    return replace(
        staged,
        message_id=pc.if_else(is_given, ids, arrivals.message_ids),
        stream=arrivals.streams,
        stream_offset=offsets,
    )
