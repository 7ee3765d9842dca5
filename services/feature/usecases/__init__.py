"""What callers ask of datasets."""
