"""Composes the inference service."""

import os
from dataclasses import dataclass
from functools import lru_cache, partial

import grpc

from oriel.inference.v1 import inference_pb2 as pb
from oriel.inference.v1 import inference_pb2_grpc as rpc
from services.inference.adapters.datasets import ScoringDatasets
from services.inference.adapters.embedding_model import KIND as EMBEDDINGS
from services.inference.adapters.embedding_model import EmbeddingModel
from services.inference.adapters.identity_table import IdentityTable
from services.inference.adapters.models import LoadedModels
from services.inference.adapters.prediction_table import PredictionTable
from services.inference.adapters.product_model import ProductModel
from services.inference.adapters.runner import ModelRunner
from services.inference.adapters.snapshots import CurrentSnapshot
from services.inference.adapters.wait_model import WaitModel
from services.inference.domain.reasons import Wording
from services.inference.servicer import InferenceServicer
from services.inference.usecases.batch import BatchPredictor
from services.inference.usecases.file_batch import FileBatch
from services.inference.usecases.predict import Predictor
from services.inference.usecases.product_batch import ProductBatchPredictor
from shared.config.home import Home, WorkspaceSettings
from shared.dataset.products import KIND as PRODUCTS
from shared.features import FEATURES, words
from shared.features.waits import KIND as WAITS
from shared.jobs import JobStore
from shared.names import user_key
from shared.registry import ModelRegistry
from shared.rpc import Service
from shared.warehouse import Warehouse


@dataclass(frozen=True)
class InferenceSettings:
    """What the service is told at its start."""

    home: Home
    workspace: WorkspaceSettings
    is_warm: bool = True
    """Whether champions are compiled before the server is ready, rather than at first use."""


def build(settings: InferenceSettings, warehouse: Warehouse, channel: grpc.Channel) -> Service:
    """Compose the service; nothing is loaded before it is registered with a server.

    Args:
        settings: The workspace and where its files lie.
        warehouse: Where predictions are logged.
        channel: To the feature service; used at the first read of a dataset.
    """
    home = settings.home
    registry = ModelRegistry(home.registry_path)
    models = LoadedModels(registry, ModelRunner)
    datasets = ScoringDatasets(channel)
    snapshots = CurrentSnapshot(
        datasets, IdentityTable(warehouse), home.jobs_path("inference") / "snapshot.memory"
    )
    log = PredictionTable(warehouse)
    units = {name: feature.unit for name, feature in FEATURES.items()}
    wording = Wording(lru_cache(maxsize=1 << 16)(words), units, settings.workspace.currency)
    jobs = JobStore(home.jobs_path("inference"), "batchPredictions")
    servicer = InferenceServicer(
        registry=registry,
        models=models,
        predictor=Predictor(models, snapshots, wording),
        snapshots=snapshots,
        batches=BatchPredictor(models, datasets, log, wording, home.exports_path, _cores()),
        others={
            PRODUCTS: ProductBatchPredictor(
                lambda name: ProductModel(registry.get(name)), datasets.folder, home.exports_path
            ),
            WAITS: FileBatch(
                lambda name: WaitModel(registry.get(name), wording),
                datasets.read,
                home.exports_path,
                _cores(),
            ),
            EMBEDDINGS: FileBatch(
                lru_cache(maxsize=2)(lambda name: EmbeddingModel(registry.get(name))),
                datasets.read,
                home.exports_path,
                _cores(),
            ),
        },
        jobs=jobs,
        user_key=partial(user_key, settings.workspace.pseudonym_key),
    )

    def register(server: grpc.Server) -> None:
        # Health says SERVING only after this has returned.
        if settings.is_warm:
            models.load_champions()
        rpc.add_InferenceServiceServicer_to_server(servicer, server)

    full_name = pb.DESCRIPTOR.services_by_name["InferenceService"].full_name
    return Service(full_name, register, jobs.close)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
