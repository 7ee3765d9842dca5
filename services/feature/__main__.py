"""The feature service as a process of its own: `python -m services.feature`."""

import os
import sys
from contextlib import ExitStack

from services.feature.main import FeatureSettings, build
from shared import warehouse
from shared.config.variables import FEATURE_ADDRESS, WAREHOUSE
from shared.rpc.process import Composed, Place, Role, run


def compose(place: Place, stack: ExitStack) -> Composed:
    """Put the service together over the ClickHouse server."""
    store = stack.enter_context(
        warehouse.await_server(place.environment[WAREHOUSE], warehouse.require_migrated)
    )
    service = build(FeatureSettings(place.home, place.workspace), store)
    return Composed(service, needs=(store.check,))


ROLE = Role("feature", FEATURE_ADDRESS, (WAREHOUSE,), compose)

if __name__ == "__main__":
    sys.exit(run(ROLE, os.environ))
