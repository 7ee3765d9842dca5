"""The main job up to its predictions, given to whatever services there are; quick where embedded.

`python -m tests.support.main_job_alone --home DIR --events FILE` prints what came out as JSON.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

from app.session import open_session
from oriel.common.v1 import common_pb2
from pipelines import main_job
from pipelines.clients import Clients
from services.training import main as training
from shared.config.home import Home
from tests.support.quick_oriel import QUICK


class Silent:
    """Shows nothing."""

    def show(self, stage: str, progress: common_pb2.Progress) -> None:
        """See `main_job.Stages.show`."""

    def end(self, stage: str, note: str) -> None:
        """See `main_job.Stages.end`."""


def main() -> None:
    """Do the job and say where its predictions lie."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--events", type=Path, required=True)
    arguments = parser.parse_args()
    job = main_job.MainJob(str(arguments.events), mapping="segment", source="simulator", seed=7)
    with open_session(Home(arguments.home), "test") as channel:
        answers = main_job.run(Clients(channel), job, Silent())
    said = {
        "training": answers.training.name,
        "training_hash": answers.training.content_hash,
        "scoring_hash": answers.scoring.content_hash,
        "model": answers.model.name,
        "predictions": answers.batch.uri,
        "seconds": answers.seconds,
    }
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    vars(training)["TrainingSettings"] = partial(training.TrainingSettings, run=QUICK)
    main()
