"""Trials of a search in a file of its run folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from services.training.runs.files import write_whole
from services.training.search.study import Trial


class KeptTrials:
    """Keeps every trial that has ended, however often the process is killed.

    Args:
        file: Where they are kept.
        identity: Names what is searched for and by which programs; what is kept under another
            identity counts for nothing.
    """

    def __init__(self, file: Path, identity: str) -> None:
        self._file, self._identity = file, identity

    def read(self) -> list[Trial]:
        """Those of this search, in order."""
        if not self._file.exists():
            return []
        values = json.loads(self._file.read_text(encoding="utf-8"))
        if values["identity"] != self._identity:
            return []
        return [
            Trial(**{**each, **{name: tuple(each[name]) for name in ("scores", "seed_scores")}})
            for each in values["trials"]
        ]

    def write(self, trials: Sequence[Trial]) -> None:
        """Replace the file by one of these."""
        values = {"identity": self._identity, "trials": [asdict(each) for each in trials]}
        write_whole(self._file, json.dumps(values, indent=1, allow_nan=False).encode())
