"""What ingestion does: take events in, keep what failed, replay it, sum up, translate keys."""
