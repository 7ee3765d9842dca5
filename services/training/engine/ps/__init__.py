"""Training through explicit parameter servers, layer by layer."""
