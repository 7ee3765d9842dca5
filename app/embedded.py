"""All services in one process around one embedded warehouse, on one loopback port."""

import logging
import socket
from contextlib import ExitStack
from dataclasses import dataclass

import grpc

from app.lock import HomeLock
from services.feature import main as feature
from services.inference import main as inference
from services.ingestion import main as ingestion
from services.training import main as training
from shared import rpc, warehouse
from shared.config.claim import ServiceClaim
from shared.config.home import Home, WorkspaceSettings
from shared.config.programs import keep_compiled_programs

_LOG = logging.getLogger(__name__)

_SERVICES = ("ingestion", "feature", "training", "inference")


@dataclass(frozen=True)
class Embedded:
    """The running services."""

    server: rpc.RunningServer
    channel: grpc.Channel
    store: warehouse.Warehouse
    lock: HomeLock
    held: ExitStack
    """What was opened before the server, the lock first."""

    @property
    def address(self) -> str:
        """Where they answer."""
        return self.server.address

    def set_ready(self) -> None:
        """Say that the services can answer, and tell other processes where."""
        self.server.set_ready()
        self.lock.publish(self.address)

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Stop: no new calls, grace, long work, running queries, then the engine; last the lock."""
        self.server.stop(grace_seconds)
        self.store.close(grace_seconds)
        self.held.close()
        _LOG.info("stopped")


def start(
    home: Home,
    workspace: WorkspaceSettings,
    lock: HomeLock,
    *,
    port: int = 0,
    is_warm: bool = False,
) -> Embedded:
    """Start the services; health says SERVING only after `set_ready`.

    Args:
        home: Folder of the workspace.
        workspace: Its settings.
        lock: Held for the folder; released on `stop`, or here when the start fails.
        port: Loopback port; 0 takes a free one.
        is_warm: Whether models are compiled before the first call rather than in it.
    """
    with ExitStack() as stack:
        stack.callback(lock.release)
        for service in _SERVICES:
            stack.enter_context(ServiceClaim(home, service))
        store = stack.enter_context(warehouse.open_embedded(home.warehouse_path))
        keep_compiled_programs(home)
        warehouse.migrate(store)
        # Training and inference call the others through the port that all of them will answer on.
        address = f"127.0.0.1:{port or _free_port()}"
        channel = stack.enter_context(rpc.connect(address))
        services = [
            ingestion.build(ingestion.IngestionSettings(home, workspace), store),
            feature.build(feature.FeatureSettings(home, workspace), store),
            training.build(training.TrainingSettings(home, workspace), channel),
            inference.build(inference.InferenceSettings(home, workspace, is_warm), store, channel),
        ]
        server = rpc.serve(services, address, is_ready=False)
        return Embedded(server, channel, store, lock, stack.pop_all())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
