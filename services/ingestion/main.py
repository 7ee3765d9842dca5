"""Composes the ingestion service."""

import threading
import time
from dataclasses import dataclass

import grpc

from oriel.ingestion.v1 import ingestion_pb2 as pb
from oriel.ingestion.v1 import ingestion_pb2_grpc as rpc
from services.ingestion.adapters.sources import FileSources
from services.ingestion.adapters.vault import SqliteVault
from services.ingestion.consumer import StreamStorage
from services.ingestion.domain.pseudonyms import Pseudonymiser
from services.ingestion.servicer import IngestionServicer
from services.ingestion.usecases.circumstances import Circumstances
from services.ingestion.usecases.ingest_stream import StreamIntake, StreamTopics
from services.ingestion.usecases.memory import Stores
from services.ingestion.usecases.read_events import EventReader
from shared.bus import READER_LIMITS, BusSettings, ReaderLimits
from shared.bus.decoded import EventDecoder
from shared.bus.member import Member, SliceLimits
from shared.config.home import Home, WorkspaceSettings
from shared.jobs import JobStore
from shared.rpc import Service
from shared.warehouse import Warehouse

GROUP = "ingestion"
"""Group of the members that store events, without the workspace's prefix."""


@dataclass(frozen=True)
class IngestionSettings:
    """What the service is told at its start."""

    home: Home
    workspace: WorkspaceSettings
    bus: BusSettings | None = None
    """Where events come from as they happen; None reads no bus."""


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
    consumer = stream_consumer(settings.bus, circumstances) if settings.bus else None
    reading = threading.Thread(target=consumer.run, name="bus") if consumer else None
    if reading:
        reading.start()

    def register(server: grpc.Server) -> None:
        rpc.add_IngestionServiceServicer_to_server(servicer, server)

    def close(grace_seconds: float) -> None:
        if consumer and reading:
            consumer.stop()
            reading.join(grace_seconds)
        jobs.close(grace_seconds)
        vault.close()

    return Service(pb.DESCRIPTOR.services_by_name["IngestionService"].full_name, register, close)


def stream_consumer(
    bus: BusSettings,
    circumstances: Circumstances,
    reading: ReaderLimits = READER_LIMITS,
) -> Member:
    """Compose the member of the group that stores the events of a bus."""
    from shared.bus.reader import join  # the client is an extra of those who have a bus
    from shared.bus.writer import KafkaWriter

    live, backfill = ("events.v1", "events.v1.retry"), ("events.backfill.v1",)
    topics = StreamTopics(
        live=frozenset(map(bus.name, live)),
        backfill=frozenset(map(bus.name, backfill)),
        dead=bus.name("events.v1.dlq"),
    )
    work = StreamStorage(
        circumstances.stores.warehouse,
        lambda claimed: StreamIntake(circumstances, claimed, topics, KafkaWriter(bus)),
    )
    return Member(
        lambda listener: join(bus, GROUP, (*live, *backfill), listener, reading),
        work,
        SliceLimits(rows=20_000, seconds=0.1),
    )


def event_decoder(workspace: WorkspaceSettings, bus: BusSettings) -> EventDecoder:
    """Return what reads messages of the bus as they are stored, for those who store nothing."""
    return EventReader(
        FileSources().mapping("segment", "bus"),
        Pseudonymiser(workspace.pseudonym_key),
        workspace.time_zone,
        lambda: time.time_ns() // 1_000_000,
        frozenset(map(bus.name, ("events.v1", "events.v1.retry"))),
    )
