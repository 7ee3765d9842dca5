-- Which message of the bus called for a prediction; empty for those of batches. The stream is the name of the prediction and the
-- partition. Under trigger_key the scorer remembers when a user was last told of.
ALTER TABLE predictions
    ADD COLUMN IF NOT EXISTS stream LowCardinality(String) DEFAULT '',
    ADD COLUMN IF NOT EXISTS stream_offset Int64 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS trigger_key UInt64 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS consent_basis LowCardinality(String) DEFAULT '';

-- How far the scorer of a prediction has come in each partition, and what became of the messages before; written after the
-- predictions of its slice: those beyond the last row are recognised by their offsets. Counts are those since the beginning.
--
-- ORDER BY stream: merges leave the row with the highest offset, which says it all.
CREATE TABLE IF NOT EXISTS stream_scores
(
    stream         String,
    next_offset    UInt64,
    epoch          UInt64,
    consumed       UInt64,
    predicted      UInt64,
    not_triggered  UInt64,
    dead           UInt64,
    late           UInt64,
    duplicate      UInt64,
    suppressed     UInt64
)
ENGINE = ReplacingMergeTree(next_offset)
ORDER BY stream;
