-- What was said of each user, by which version, as of when. Append-only: a logged prediction never changes.
--
-- ORDER BY (model_version, as_of, user_key): a batch writes and is checked for by its first two columns; the ledger joins
-- the third to events.
CREATE TABLE IF NOT EXISTS predictions
(
    prediction_id        String,
    user_key             UInt64,
    model_version        LowCardinality(String),
    feature_set_version  LowCardinality(String),
    dataset_hash         LowCardinality(String),
    as_of                DateTime64(3, 'UTC'),
    horizon_end          DateTime64(3, 'UTC'),
    active_probability   Float64,
    churn_probability    Float64,
    percentile           Float64,
    expected_value_micros Int64,
    segment_probabilities Array(Float64),
    eligible             Bool,
    ineligible_reason    String,
    reasons              String
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(as_of)
ORDER BY (model_version, as_of, user_key);
