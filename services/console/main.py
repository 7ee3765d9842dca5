"""Composes the door that takes events over HTTP."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc

from services.console.adapters.ingestion import IngestionService
from services.console.adapters.measured import MeasuredIngester
from services.console.http.application import create_application
from services.console.http.server import HttpServer
from services.console.usecases.collect import Collector
from services.console.usecases.take import Door
from shared.config.home import Home
from shared.config.write_keys import WriteKeys


@dataclass(frozen=True)
class ConsoleSettings:
    """What the door is told at its start."""

    home: Home
    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one."""


class RunningConsole:
    """A door that is open."""

    def __init__(self, server: HttpServer, collector: Collector) -> None:
        self._server, self._collector = server, collector
        self.address = server.address
        """Where it listens, as host:port."""

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Let nobody else in, store and answer what is in, then stop."""
        self._collector.close(grace_seconds)
        self._server.stop(grace_seconds)


def serve(settings: ConsoleSettings, channel: grpc.Channel) -> RunningConsole:
    """Open the door.

    Args:
        settings: Where it is and whose keys fit.
        channel: Leads to the ingestion service, which need not run yet.

    Raises:
        FailedPreconditionError: The address is taken.
    """
    ingestion = IngestionService(channel)
    collector = Collector(MeasuredIngester(ingestion))
    door = Door(
        keys=WriteKeys(settings.home.write_keys_file),
        collector=collector,
        now=lambda: datetime.now(UTC),
        new_id=lambda: f"api-{uuid.uuid4()}",
    )
    application = create_application(door, ingestion.is_serving)
    try:
        server = HttpServer(application, settings.host, settings.port)
    except BaseException:
        collector.close(1.0)
        raise
    return RunningConsole(server, collector)
