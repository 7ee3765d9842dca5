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

-- How far each partition of the bus is stored, and what became of it; one row for each slice until merges sum them up. The
-- row is written after the events of its slice: what is stored beyond the last one is recognised by its message ids.
--
-- ORDER BY (stream, epoch): merges leave one row for each claim, which keeps the table small and says who read how much.
CREATE TABLE IF NOT EXISTS stream_positions
(
    stream           String,
    epoch            UInt64,
    next_offset      SimpleAggregateFunction(max, Int64),
    read_count       SimpleAggregateFunction(sum, UInt64),
    tombstone_count  SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (stream, epoch);
