"""What a running Oriel says of itself: logs and metrics."""
