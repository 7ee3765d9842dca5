"""Settings of the workspace and the shipped questions, read strictly."""
