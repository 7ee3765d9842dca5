"""Composes the ingestion service."""

import time
from dataclasses import dataclass

import grpc

from oriel.ingestion.v1 import ingestion_pb2 as pb
from oriel.ingestion.v1 import ingestion_pb2_grpc as rpc
from services.ingestion.adapters.sources import FileSources
from services.ingestion.adapters.vault import SqliteVault
from services.ingestion.domain.pseudonyms import Pseudonymiser
from services.ingestion.servicer import IngestionServicer
from services.ingestion.usecases.circumstances import Circumstances
from services.ingestion.usecases.memory import Stores
from shared.config.home import Home, WorkspaceSettings
from shared.jobs import JobStore
from shared.rpc import Service
from shared.warehouse import Warehouse


@dataclass(frozen=True)
class IngestionSettings:
    """What the service is told at its start."""

    home: Home
    workspace: WorkspaceSettings


def build(settings: IngestionSettings, warehouse: Warehouse) -> Service:
    """Compose the service over an open warehouse whose tables exist."""
    workspace = settings.workspace
    vault = SqliteVault(settings.home.vault_path)
    jobs = JobStore(settings.home.jobs_path("ingestion"), "imports")
    circumstances = Circumstances(
        stores=Stores(warehouse, vault, Pseudonymiser(workspace.pseudonym_key)),
        sources=FileSources(),
        currency=workspace.currency,
        time_zone=workspace.time_zone,
        now_milliseconds=lambda: time.time_ns() // 1_000_000,
    )
    servicer = IngestionServicer(circumstances, jobs)

    def register(server: grpc.Server) -> None:
        rpc.add_IngestionServiceServicer_to_server(servicer, server)

    def close(grace_seconds: float) -> None:
        jobs.close(grace_seconds)
        vault.close()

    return Service(pb.DESCRIPTOR.services_by_name["IngestionService"].full_name, register, close)
