"""All services in one process around one embedded warehouse, on one loopback port."""

import hashlib
import logging
import platform
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import jax

from app.lock import HomeLock
from services.feature import main as feature
from services.inference import main as inference
from services.ingestion import main as ingestion
from services.training import main as training
from shared import rpc, warehouse
from shared.config.home import Home, WorkspaceSettings

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Embedded:
    """The running services."""

    server: rpc.RunningServer
    channel: grpc.Channel
    store: warehouse.Warehouse
    lock: HomeLock

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
        self.channel.close()
        self.store.close(grace_seconds)
        self.lock.release()
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
    try:
        store = warehouse.open_embedded(home.warehouse_path)
    except BaseException:
        lock.release()
        raise
    try:
        _keep_compiled_programs(home)
        warehouse.migrate(store)
        # Training and inference call the others through the port that all of them will answer on.
        address = f"127.0.0.1:{port or _free_port()}"
        channel = rpc.connect(address)
        services = [
            ingestion.build(ingestion.IngestionSettings(home, workspace), store),
            feature.build(feature.FeatureSettings(home, workspace), store),
            training.build(training.TrainingSettings(home, workspace), channel),
            inference.build(inference.InferenceSettings(home, workspace, is_warm), store, channel),
        ]
        server = rpc.serve(services, address, is_ready=False)
    except BaseException:
        store.close()
        lock.release()
        raise
    return Embedded(server, channel, store, lock)


def _keep_compiled_programs(home: Home) -> None:
    """Let a second start load the programs of a model in one second rather than in eight."""
    settings: Any = jax.config
    settings.update("jax_compilation_cache_dir", str(home.cache_path / f"programs-{_processor()}"))
    settings.update("jax_persistent_cache_min_compile_time_secs", 0)
    settings.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _processor() -> str:
    """Name this kind of processor: a program compiled for one may not run on another."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        kind = next((line for line in text.splitlines() if line.startswith(("flags", "Feat"))), "")
    except OSError:
        kind = ""
    parts = f"{platform.machine()} {platform.processor()} {kind}"
    return hashlib.sha256(parts.encode()).hexdigest()[:12]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
