"""`oriel` with a training small enough for tests: `python -m tests.support.quick_oriel run …`.

Everything else is the product's own: same process, services, worker, files.
"""

from functools import partial

from app.cli import main
from services.training import main as training
from services.training.runs.config import RunConfig

QUICK = RunConfig(members=2, epochs=3, bootstrap_samples=20)

if __name__ == "__main__":
    vars(training)["TrainingSettings"] = partial(training.TrainingSettings, run=QUICK)
    main()
