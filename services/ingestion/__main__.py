"""The ingestion service as a process of its own: `python -m services.ingestion`."""

import os
import sys
from contextlib import ExitStack

from services.ingestion.main import IngestionSettings, build
from shared import warehouse
from shared.config.variables import INGESTION_ADDRESS, WAREHOUSE
from shared.rpc.process import Composed, Place, Role, run


def compose(place: Place, stack: ExitStack) -> Composed:
    """Put the service together over the ClickHouse server; it makes the tables of all services.

    Other ways in, such as a consumer of a stream, start here on the same store: what ends them goes
    on the stack after the store, so that they end before it.
    """
    store = stack.enter_context(
        warehouse.await_server(place.environment[WAREHOUSE], warehouse.migrate)
    )
    service = build(IngestionSettings(place.home, place.workspace), store)
    return Composed(service, needs=(store.check,))


ROLE = Role("ingestion", INGESTION_ADDRESS, (WAREHOUSE,), compose)

if __name__ == "__main__":
    sys.exit(run(ROLE, os.environ))
