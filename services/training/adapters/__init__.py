"""Training's way to datasets, to worker processes and to the registry."""
