"""Discovered segments: groups of customers by where a model places them, named and kept."""
