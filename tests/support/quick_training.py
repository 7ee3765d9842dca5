"""`python -m services.training` with a training small enough for tests."""

import os
import sys
from functools import partial

from services.training import __main__ as training
from services.training.main import TrainingSettings
from shared.rpc.process import run
from tests.support.quick_oriel import QUICK

if __name__ == "__main__":
    vars(training)["TrainingSettings"] = partial(TrainingSettings, run=QUICK)
    sys.exit(run(training.ROLE, os.environ))
