"""Refusal of fields that are too long."""

import pyarrow as pa
import pyarrow.compute as pc

from services.ingestion.domain.columns import one_array
from services.ingestion.domain.findings import Findings
from services.ingestion.domain.reasons import Reason


def reject_large_fields(table: pa.Table, findings: Findings, field_bytes: int) -> None:
    """Mark rows that hold a longer text than the mapping allows."""
    for name in table.column_names:
        kind = table.schema.field(name).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            continue
        lengths = pc.binary_length(one_array(table.column(name)))
        if (pc.max(lengths).as_py() or 0) <= field_bytes:
            continue
        is_large = pc.fill_null(pc.greater(lengths, field_bytes), False)
        findings.reject(is_large.to_numpy(zero_copy_only=False), Reason.FIELD_TOO_LARGE, name)
