-- Where on the bus an event came from, so that every offset can be accounted for; empty for events of other doors.
ALTER TABLE events
    ADD COLUMN IF NOT EXISTS stream LowCardinality(String) DEFAULT '',
    ADD COLUMN IF NOT EXISTS stream_offset Int64 DEFAULT 0;

-- Who may write what comes from a partition of the bus: the claim with the highest (epoch, owner). A claim is one row, never
-- changed; every write of a stream asks for the highest one in the same statement.
--
-- ORDER BY (stream, epoch): asked for a few streams at a time; a few rows for each start or rebalance.
CREATE TABLE IF NOT EXISTS stream_claims
(
    stream       String,
    epoch        UInt64,
    owner        String,
    claim_time   DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (stream, epoch);

-- How far each partition of the bus is stored, and how much was read of it under each claim. The row is written after the
-- events of its slice: what is stored beyond the last one is recognised by its message ids. Counts are those since the claim
-- began, so that the row with the highest offset says it all.
--
-- ORDER BY (stream, epoch): merges leave one row for each claim, which keeps the table small and says who read how much.
CREATE TABLE IF NOT EXISTS stream_positions
(
    stream           String,
    epoch            UInt64,
    next_offset      UInt64,
    read_count       UInt64,
    tombstone_count  UInt64
)
ENGINE = ReplacingMergeTree(next_offset)
ORDER BY (stream, epoch);
