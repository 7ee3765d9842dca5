-- Which keys are the same person: an edge for each pair of keys that one event named together.
--
-- ORDER BY (from_key, to_key, event_time): edges are read whole and joined into persons as known at an instant.
CREATE TABLE IF NOT EXISTS identity
(
    message_id     String,
    from_key       UInt64,
    to_key         UInt64,
    kind           LowCardinality(String),
    event_time     DateTime64(3, 'UTC'),
    ingest_time    DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (from_key, to_key, event_time);
