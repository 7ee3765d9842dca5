"""One member that stores the events of a bus, as a process that can be killed or stopped."""

import argparse
import logging
import signal
import time
from pathlib import Path

from services.ingestion.adapters.sources import FileSources
from services.ingestion.adapters.vault import SqliteVault
from services.ingestion.domain.pseudonyms import Pseudonymiser
from services.ingestion.main import stream_consumer
from services.ingestion.usecases.circumstances import Circumstances
from services.ingestion.usecases.memory import Stores
from shared.bus import BusSettings, ReaderLimits
from shared.warehouse import connect
from tests.support.native_front import USER

SESSION_SECONDS = 1.5
PASSWORD = "history"
SECRET = b"0123456789abcdef0123456789abcdef"


def main() -> None:
    """Store events until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bus", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--warehouse-port", type=int, required=True)
    parser.add_argument("--vault", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    warehouse = connect("127.0.0.1", arguments.warehouse_port, USER, PASSWORD, "default")
    circumstances = Circumstances(
        stores=Stores(warehouse, SqliteVault(arguments.vault), Pseudonymiser(SECRET)),
        sources=FileSources(),
        currency="USD",
        time_zone="UTC",
        now_milliseconds=lambda: time.time_ns() // 1_000_000,
    )
    limits = ReaderLimits(session_seconds=SESSION_SECONDS)
    bus = BusSettings.parse(arguments.bus, arguments.prefix)
    consumer = stream_consumer(bus, circumstances, limits)
    signal.signal(signal.SIGTERM, lambda *_: consumer.stop())
    consumer.run()


if __name__ == "__main__":
    main()
