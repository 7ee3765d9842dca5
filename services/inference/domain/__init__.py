"""What a prediction is and how one is told: pure functions over arrays."""
