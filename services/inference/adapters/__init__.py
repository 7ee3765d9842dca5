"""Programs, datasets and tables behind the ports."""
