"""Ends a process whose parent has died, however it died."""

import os

EXIT_ORPHANED = 4
"""Exit code when the parent went away."""


def end_with_parent() -> None:
    """Wait until stdin closes, as it does when the parent dies, and end the process."""
    while os.read(0, 4096):  # not sys.stdin, whose lock would be held when the process ends
        pass
    os._exit(EXIT_ORPHANED)
