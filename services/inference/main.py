"""Composes the inference service."""

import os
import uuid
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
from services.inference.adapters.stream_state import PartitionStates
from services.inference.adapters.wait_model import WaitModel
from services.inference.domain.reasons import Wording
from services.inference.scorer import StreamScoring
from services.inference.servicer import InferenceServicer
from services.inference.usecases.batch import BatchPredictor
from services.inference.usecases.file_batch import FileBatch
from services.inference.usecases.predict import Predictor
from services.inference.usecases.product_batch import ProductBatchPredictor
from services.inference.usecases.stream_scoring import Question
from shared.bus import READER_LIMITS, BusSettings, ReaderLimits
from shared.bus.decoded import EventDecoder
from shared.bus.member import Member, SliceLimits
from shared.config.home import Home, WorkspaceSettings
from shared.config.prediction import PredictionFile
from shared.dataset.products import KIND as PRODUCTS
from shared.errors import FailedPreconditionError
from shared.features import FEATURES, feature_set_version, words
from shared.features.online import OnlineSettings
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


def scorer(
    settings: InferenceSettings,
    warehouse: Warehouse,
    bus: BusSettings,
    decoder: EventDecoder,
    file: PredictionFile,
    model_name: str = "",
    limits: ReaderLimits = READER_LIMITS,
) -> Member:
    """Compose a member of the group that says one prediction as events happen.

    Args:
        settings: The workspace and where its files lie.
        warehouse: Where predictions are logged.
        bus: Where events come from and predictions go.
        decoder: Reads messages as ingestion does.
        file: What is predicted, and when.
        model_name: Model or version that answers; empty takes the one that learned the prediction.
        limits: How much is read at once.

    Raises:
        FailedPreconditionError: The file has no rule for a stream, or no model answers it.
    """
    from shared.bus.reader import join  # the client is an extra of those who have a bus
    from shared.bus.writer import KafkaWriter

    home = settings.home
    registry = ModelRegistry(home.registry_path)
    models = LoadedModels(registry, ModelRunner)
    name = model_name or _model_of(registry, file.name)
    online = OnlineSettings(settings.workspace.time_zone)
    question = _question(file, models, name, online.lateness_ms)
    states = PartitionStates(
        home.path / "online" / file.name,
        [FEATURES[column] for column in question.columns],
        online,
        warehouse,
    )
    work = StreamScoring(
        question=question,
        model=lambda: models.load(name),
        decoder=decoder,
        states=states,
        warehouse=warehouse,
        owner=uuid.uuid4().hex,
        writer=lambda: KafkaWriter(bus),
        topic=bus.name("predictions.v1"),
    )
    group = f"scoring.{file.name}"
    return Member(
        lambda listener: join(bus, group, ("events.v1", "events.v1.retry"), listener, limits),
        work,
        SliceLimits(),
    )


def _model_of(registry: ModelRegistry, prediction: str) -> str:
    for model in registry.models():
        if prediction in registry.get(f"models/{model}").manifest.get("predictions", ()):
            return f"models/{model}"
    raise FailedPreconditionError(
        f"no model answers {prediction} yet; train one with `oriel train` or `oriel run`",
        reason="NO_MODEL_FOR_STREAM",
        prediction=prediction,
    )


def _question(
    file: PredictionFile, models: LoadedModels, model_name: str, lateness_ms: int
) -> Question:
    if file.stream is None:
        raise FailedPreconditionError(
            f"{file.name} does not say which events call for it; add `stream: {{events: […]}}` to "
            "its file",
            reason="NO_STREAM_RULE",
            prediction=file.name,
        )
    facts = models.load(model_name).facts
    declared = [FEATURES[name] for name in facts.features if name in FEATURES]
    if feature_set_version(declared) != facts.feature_set_version:
        raise FailedPreconditionError(
            f"{facts.name} was trained on features that mean something else by now; train again",
            reason="FEATURES_DIFFER",
            model=facts.name,
        )
    read = [condition.feature for condition in file.eligible.conditions]
    return Question(
        name=file.name,
        rule=file.stream,
        eligible=file.eligible,
        columns=(*facts.features, *dict.fromkeys(f for f in read if f not in facts.features)),
        is_of_leaving=file.target.kind == "churn",
        lateness_ms=lateness_ms,
    )
