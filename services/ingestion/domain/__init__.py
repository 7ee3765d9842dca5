"""What an event is, when it is acceptable, and what identifies it; pure functions over columns."""
