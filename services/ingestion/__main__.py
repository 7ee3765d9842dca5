"""The ingestion service as a process of its own: `python -m services.ingestion`."""

import os
import sys
from contextlib import ExitStack

from services.ingestion.main import IngestionSettings, build
from shared import warehouse
from shared.bus import BusSettings
from shared.config.variables import BUS_PREFIX, BUS_SERVERS, INGESTION_ADDRESS, WAREHOUSE
from shared.rpc.process import Composed, Place, Role, run


def compose(place: Place, stack: ExitStack) -> Composed:
    """Put the service together over the ClickHouse server; it makes the tables of all services.

    With a bus it also reads the events of the workspace's topics.
    """
    store = stack.enter_context(
        warehouse.await_server(place.environment[WAREHOUSE], warehouse.migrate)
    )
    servers = place.environment.get(BUS_SERVERS)
    bus = BusSettings(servers, place.environment[BUS_PREFIX]) if servers else None
    service = build(IngestionSettings(place.home, place.workspace, bus), store)
    return Composed(service, needs=(store.check,))


ROLE = Role("ingestion", INGESTION_ADDRESS, (WAREHOUSE,), compose)

if __name__ == "__main__":
    sys.exit(run(ROLE, os.environ))
