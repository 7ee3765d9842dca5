"""The composition root: the `oriel` command and the process that embeds all services."""
