"""The columns of the warehouse's tables that ingestion writes."""

import pyarrow as pa

_INSTANT = pa.timestamp("ms", "UTC")

EVENTS = pa.schema(
    [
        ("message_id", pa.string()),
        ("source", pa.string()),
        ("type", pa.string()),
        ("event", pa.string()),
        ("user_key", pa.uint64()),
        ("anonymous_key", pa.uint64()),
        ("event_time", _INSTANT),
        ("ingest_time", _INSTANT),
        ("is_backfill", pa.bool_()),
        ("order_id", pa.string()),
        ("order_part", pa.uint16()),
        ("gross_micros", pa.int64()),
        ("net_micros", pa.int64()),
        ("product_ids", pa.list_(pa.string())),
        ("quantities", pa.list_(pa.float64())),
        ("price_micros", pa.list_(pa.int64())),
        ("line_ids", pa.list_(pa.string())),
        ("campaign", pa.string()),
        ("channel", pa.string()),
        ("consent", pa.map_(pa.string(), pa.bool_())),
        ("properties", pa.string()),
        ("context", pa.string()),
    ]
)
"""Table `events`."""

IDENTITY = pa.schema(
    [
        ("message_id", pa.string()),
        ("from_key", pa.uint64()),
        ("to_key", pa.uint64()),
        ("kind", pa.string()),
        ("event_time", _INSTANT),
        ("ingest_time", _INSTANT),
    ]
)
"""Table `identity`."""

REJECTED = pa.schema(
    [
        ("rejection_id", pa.string()),
        ("source", pa.string()),
        ("origin", pa.string()),
        ("row", pa.uint64()),
        ("reason", pa.string()),
        ("field", pa.string()),
        ("message", pa.string()),
        ("mapping", pa.string()),
        ("reject_time", _INSTANT),
    ]
)
"""Table `events_rejected`."""
