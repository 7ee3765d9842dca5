"""Composes the training service."""

import os
from dataclasses import dataclass, field

import grpc

from oriel.feature.v1 import feature_pb2
from oriel.training.v1 import training_pb2 as pb
from oriel.training.v1 import training_pb2_grpc as rpc
from services.training.adapters.supervisor import WORKER_ENVIRONMENT, Supervisor
from services.training.adapters.training import Training
from services.training.compiled import KEPT
from services.training.runs.config import RunConfig
from services.training.servicer import TrainingServicer
from shared.config.home import Home, WorkspaceSettings
from shared.config.programs import compiled_programs
from shared.dataset.finished import FinishedDatasets
from shared.jobs import JobStore
from shared.registry import ModelRegistry
from shared.rpc import Service


@dataclass(frozen=True)
class TrainingSettings:
    """What the service is told at its start."""

    home: Home
    workspace: WorkspaceSettings
    run: RunConfig = field(default_factory=RunConfig)
    """Choices of a run that a request does not make."""


def build(
    settings: TrainingSettings, channel: grpc.Channel, supervisor: Supervisor | None = None
) -> Service:
    """Compose the service; it answers once it is registered with a server.

    Args:
        settings: The workspace and where its files lie.
        channel: To the feature service; used at the first run.
        supervisor: Runs workers; one for this interpreter when None.
    """
    home = settings.home
    registry = ModelRegistry(home.registry_path)
    # What the user sets for JAX stays.
    kept = {KEPT: os.environ.get(KEPT, str(compiled_programs(home, "training")))}
    supervisor = supervisor or Supervisor(environment={**WORKER_ENVIRONMENT, **kept})
    training = Training(home.runs_path, supervisor, registry)
    jobs = JobStore(home.jobs_path("training"), "trainingRuns")
    datasets = FinishedDatasets(channel, feature_pb2.DATASET_PURPOSE_TRAINING)
    servicer = TrainingServicer(datasets, training, jobs, settings.run, registry)
    full_name = pb.DESCRIPTOR.services_by_name["TrainingService"].full_name
    return Service(
        full_name,
        lambda server: rpc.add_TrainingServiceServicer_to_server(servicer, server),
        jobs.close,
    )
