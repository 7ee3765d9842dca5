"""Files, formats and the vault behind the ports of the use cases."""
