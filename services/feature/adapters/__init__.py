"""How the warehouse answers."""
