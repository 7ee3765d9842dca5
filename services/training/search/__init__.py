"""Search for the settings of a model: inside the rows it may learn from, before it is judged."""
