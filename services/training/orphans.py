"""Ends a process whose parent has died, however it died."""

import os
from collections.abc import Callable

EXIT_ORPHANED = 4
"""Exit code when the parent went away."""


def end_with_parent(on_line: Callable[[str], None] = lambda _: None) -> None:
    """Wait until stdin closes, as it does when the parent dies, and end the process.

    Args:
        on_line: Hears each line that the parent writes until then.
    """
    rest = b""
    while block := os.read(
        0, 4096
    ):  # not sys.stdin, whose lock would be held when the process ends
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            on_line(line.decode())
    os._exit(EXIT_ORPHANED)
