"""What a run hands over; apart from the run, so that the supervisor need not load what trains."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RunResult:
    """What is published: files by name, and the manifest's values."""

    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]
