"""`python -m services.training` with a training small enough for tests."""

import os
import sys
from functools import partial

from services.training import __main__ as training
from services.training.main import TrainingSettings
from services.training.runs.config import RunConfig
from shared.rpc.process import run

SMALLEST = RunConfig(members=2, epochs=1, bootstrap_samples=5)

if __name__ == "__main__":
    vars(training)["TrainingSettings"] = partial(TrainingSettings, run=SMALLEST)
    sys.exit(run(training.ROLE, os.environ))
