"""How the door of HTTP reaches other services."""
