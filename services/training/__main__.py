"""The training service as a process of its own: `python -m services.training`."""

import os
import sys
from contextlib import ExitStack
from functools import partial

from services.training.main import TrainingSettings, build
from shared import rpc
from shared.config.variables import FEATURE_ADDRESS, TRAINING_ADDRESS
from shared.rpc.process import Composed, Place, Role, run


def compose(place: Place, stack: ExitStack) -> Composed:
    """Put the service together over the feature service, whose datasets it learns from."""
    features = place.environment[FEATURE_ADDRESS]
    channel = stack.enter_context(rpc.connect(features))
    service = build(TrainingSettings(place.home, place.workspace), channel)
    return Composed(service, needs=(partial(rpc.require_serving, features),))


ROLE = Role("training", TRAINING_ADDRESS, (FEATURE_ADDRESS,), compose)

if __name__ == "__main__":
    sys.exit(run(ROLE, os.environ))
