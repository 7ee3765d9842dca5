-- Dead letters: what could not be stored and why, so that it can be read, mended and replayed. The bytes lie in the vault
-- under the same rejection_id: a broken row may hold an e-mail address, which must never reach the warehouse.
--
-- ORDER BY (source, reject_time): people list them by sender, newest last; rejection_id makes a re-sent event one letter.
CREATE TABLE IF NOT EXISTS events_rejected
(
    rejection_id   String,
    source         LowCardinality(String),
    origin         String,
    row            UInt64,
    reason         LowCardinality(String),
    field          LowCardinality(String),
    message        String,
    mapping        String,
    reject_time    DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (source, reject_time, rejection_id);

-- Letters that a replay resolved; append-only, so that nothing is ever rewritten.
CREATE TABLE IF NOT EXISTS events_replayed
(
    rejection_id   String,
    replay_time    DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY rejection_id;
