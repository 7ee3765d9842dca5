-- The interval of what each user will spend, and the segment decided on, which need not be the likeliest. Predictions logged
-- before have no interval; their segment was the likeliest.
ALTER TABLE predictions
    ADD COLUMN IF NOT EXISTS segment Int8
        DEFAULT indexOf(segment_probabilities, arrayMax(segment_probabilities)) - 1 AFTER segment_probabilities,
    ADD COLUMN IF NOT EXISTS value_low_micros Int64 DEFAULT 0 AFTER segment,
    ADD COLUMN IF NOT EXISTS value_high_micros Int64 DEFAULT 0 AFTER value_low_micros;
