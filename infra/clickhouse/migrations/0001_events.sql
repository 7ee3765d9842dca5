-- Everything that happened, once. One row per Segment event; the lines of one order at one instant are one row.
--
-- ORDER BY (user_key, anonymous_key, event_time): datasets group by user and cut by time, so each user's history is one
-- contiguous run; anonymous events (user_key = 0) lie together, sorted by visitor.
-- PARTITION BY month: retention drops whole months, and an insert of one day's events touches one partition.
-- No TTL here: retention is a workspace setting, applied by dropping partitions.
CREATE TABLE IF NOT EXISTS events
(
    message_id     String,
    source         LowCardinality(String),
    type           LowCardinality(String),
    event          LowCardinality(String),
    user_key       UInt64,
    anonymous_key  UInt64,
    event_time     DateTime64(3, 'UTC'),
    ingest_time    DateTime64(3, 'UTC'),
    is_backfill    Bool,
    order_id       String,
    order_part     UInt16,
    gross_micros   Int64,
    net_micros     Int64,
    product_ids    Array(String),
    quantities     Array(Float64),
    price_micros   Array(Int64),
    line_ids       Array(String),
    campaign       LowCardinality(String),
    channel        LowCardinality(String),
    consent        Map(LowCardinality(String), Bool),
    properties     String,
    context        String
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(event_time)
ORDER BY (user_key, anonymous_key, event_time);
