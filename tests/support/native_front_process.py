"""The native-protocol front as a process of its own, the way a server is."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.native_front import USER

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Address:
    """Where a server listens and who may ask."""

    host: str
    port: int
    user: str
    password: str


@contextmanager
def running_front(folder: Path, password: str = "it's \\secret") -> Iterator[Address]:
    """Run the front on a data folder for the time of the block."""
    command = [sys.executable, "-m", "tests.support.native_front"]
    process = subprocess.Popen(
        [*command, "--folder", str(folder), "--password", password],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield Address("127.0.0.1", port, USER, password)
        finally:
            process.kill()
