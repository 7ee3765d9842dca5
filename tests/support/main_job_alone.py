"""The main job up to its predictions, on embedded services: `… main_job_alone HOME EVENTS`.

It prints what came out as JSON.
"""

import json
import sys
from pathlib import Path

from app.session import open_session
from oriel.common.v1 import common_pb2
from pipelines import main_job
from pipelines.clients import Clients
from shared.config.home import Home


class Silent:
    """Shows nothing."""

    def show(self, stage: str, progress: common_pb2.Progress) -> None:
        """See `main_job.Stages.show`."""

    def end(self, stage: str, note: str) -> None:
        """See `main_job.Stages.end`."""


def main(home: Path, events: Path) -> None:
    """Do the job and say where its predictions lie."""
    job = main_job.MainJob(str(events), mapping="segment", source="simulator", seed=7)
    with open_session(Home(home), "test") as channel:
        answers = main_job.run(Clients(channel), job, Silent())
    said = {
        "training_hash": answers.training.content_hash,
        "scoring_hash": answers.scoring.content_hash,
        "predictions": answers.batch.uri,
    }
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
