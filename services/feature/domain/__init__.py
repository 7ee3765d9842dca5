"""What a dataset is, without engine or transport."""
