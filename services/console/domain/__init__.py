"""What the door of HTTP means by a message, free of any transport."""
