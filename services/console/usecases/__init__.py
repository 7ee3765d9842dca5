"""What the door of HTTP does."""
