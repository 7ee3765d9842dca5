"""What callers can ask for, in terms of ports."""
