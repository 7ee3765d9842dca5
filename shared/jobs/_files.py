"""Jobs as JSON files, each replaced whole so that a crash never leaves half of one."""

import json
import os
from pathlib import Path

from shared.jobs._job import Job, from_json, to_json


class JobFiles:
    """A folder with one file for each job."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def read_all(self) -> list[Job]:
        """Return every job written; what a crash left behind is swept away."""
        for leftover in self._folder.glob(".*.partial"):
            leftover.unlink(missing_ok=True)
        files = sorted(self._folder.glob("*.json"))
        return [from_json(json.loads(file.read_text(encoding="utf-8"))) for file in files]

    def write(self, job: Job) -> None:
        """Make a job durable."""
        identifier = job.name.rpartition("/")[2]
        partial = self._folder / f".{identifier}.partial"
        with partial.open("w", encoding="utf-8") as stream:
            json.dump(to_json(job), stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(self._folder / f"{identifier}.json")
