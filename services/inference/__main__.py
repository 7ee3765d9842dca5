"""The inference service as a process of its own: `python -m services.inference`."""

import os
import sys
from contextlib import ExitStack
from functools import partial

from services.inference.main import InferenceSettings, build
from shared import rpc, warehouse
from shared.config.programs import keep_compiled_programs
from shared.config.variables import FEATURE_ADDRESS, INFERENCE_ADDRESS, WAREHOUSE
from shared.rpc.process import Composed, Place, Role, run


def compose(place: Place, stack: ExitStack) -> Composed:
    """Put the service together over the ClickHouse server and the feature service."""
    store = stack.enter_context(
        warehouse.await_server(place.environment[WAREHOUSE], warehouse.require_migrated)
    )
    features = place.environment[FEATURE_ADDRESS]
    channel = stack.enter_context(rpc.connect(features))
    keep_compiled_programs(place.home)
    service = build(InferenceSettings(place.home, place.workspace), store, channel)
    return Composed(service, needs=(store.check, partial(rpc.require_serving, features)))


ROLE = Role("inference", INFERENCE_ADDRESS, (WAREHOUSE, FEATURE_ADDRESS), compose)

if __name__ == "__main__":
    sys.exit(run(ROLE, os.environ))
