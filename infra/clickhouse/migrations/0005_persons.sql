-- Who is one person at which instants, for one dataset while it is built; events are joined to it by key.
--
-- ORDER BY (resolution, key): a build reads its own rows whole. PARTITION BY resolution: when the build ends, its rows
-- go with their partition.
CREATE TABLE IF NOT EXISTS persons
(
    resolution   String,
    key          UInt64,
    person       UInt64,
    first_index  UInt16,
    last_index   UInt16
)
ENGINE = MergeTree
PARTITION BY resolution
ORDER BY (resolution, key);
