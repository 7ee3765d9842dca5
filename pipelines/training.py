"""Training on its own: one prediction file in, one model version out."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2
from oriel.inference.v1 import inference_pb2
from oriel.ingestion.v1 import ingestion_pb2
from oriel.training.v1 import training_pb2
from pipelines.clients import Clients, LongWork
from pipelines.main_job import (
    RELEASE,
    Stages,
    content_of,
    fingerprint,
    prediction_time,
    request_id,
    stamp,
)
from shared.config.clicks import parse_click_prediction
from shared.config.images import parse_image_prediction
from shared.config.prediction import parse_prediction
from shared.config.product import parse_product_prediction
from shared.config.search import without_search
from shared.config.sources import source_of
from shared.config.table import parse_table_prediction


@dataclass(frozen=True)
class Question:
    """A prediction file, read; `path` is where what it reads lies, None if it asks of users.

    Raises:
        InvalidArgumentError: The file is wrong.
    """

    text: str
    name: str
    path: Path | None

    @classmethod
    def of(cls, text: str) -> "Question":
        """Read the text of a prediction file."""
        kind = source_of(text)
        if kind == "images":
            images = parse_image_prediction(text)
            return cls(text, images.name, Path(images.images))
        if kind == "table":
            table = parse_table_prediction(text)
            return cls(text, table.name, Path(table.path))
        if kind == "sessions":
            clicks = parse_click_prediction(text)
            return cls(text, clicks.name, Path(clicks.path))
        if kind == "products":
            return cls(text, parse_product_prediction(text).name, None)
        return cls(text, parse_prediction(text).name, None)

    def content(self) -> str:
        """Names what lies at the path: other bytes, another text."""
        assert self.path is not None
        pattern = "t*" if source_of(self.text) == "images" else "*"
        inside = [self.path] if self.path.is_file() else sorted(self.path.glob(pattern))
        return json.dumps([(file.name, content_of(str(file))) for file in inside])


@dataclass(frozen=True)
class Fitting:
    """How a model is fitted.

    Attributes:
        seed: Of all randomness.
        placement: Processes that share the work; one process when None.
        is_thorough: Whether settings are searched for first.
    """

    seed: int
    placement: training_pb2.Placement | None = None
    is_thorough: bool = False


@dataclass(frozen=True)
class Trained:
    """A published version, and how it was judged."""

    version: inference_pb2.ModelVersion
    evaluation: Mapping[str, Any]

    @property
    def card(self) -> Path:
        """The model card."""
        return Path(self.version.uri) / "model_card.md"


def prepare(clients: Clients, question: Question, stages: Stages) -> feature_pb2.Dataset:
    """Build the training dataset, or find it as an earlier call built it."""
    stage = "build training set"
    stages.show(stage, common_pb2.Progress(message="starting"))
    text = without_search(question.text)
    request = feature_pb2.CreateDatasetRequest(
        prediction_files=[text], purpose=feature_pb2.DATASET_PURPOSE_TRAINING
    )
    if question.path is None:
        held, as_of_time = _held(clients)
        request.as_of_time.CopyFrom(stamp(as_of_time))
        content = fingerprint(held, as_of_time)
    else:
        content = question.content()
    request.request_id = request_id("dataset", RELEASE, content, text)
    dataset = clients.build_dataset(request, _shown(stages, stage))
    stages.end(stage, f"{dataset.row_count:,} rows")
    return dataset


def explain_dataset(clients: Clients, question: Question) -> feature_pb2.ExplainDatasetResponse:
    """Say what the training dataset would hold; builds nothing."""
    request = feature_pb2.ExplainDatasetRequest(prediction_files=[question.text])
    if question.path is None:
        request.as_of_time.CopyFrom(stamp(_held(clients)[1]))
    return clients.feature.ExplainDataset(request)


def _held(clients: Clients) -> tuple[ingestion_pb2.GetWorkspaceSummaryResponse, datetime]:
    """What the workspace holds, and the instant predicted at."""
    summary = ingestion_pb2.GetWorkspaceSummaryRequest()
    held = clients.ingestion.GetWorkspaceSummary(summary)
    return held, prediction_time(held)


def explain(
    clients: Clients, question: Question, dataset: feature_pb2.Dataset
) -> training_pb2.ExplainTrainingRunResponse:
    """Say what `train` would train."""
    return clients.training.ExplainTrainingRun(
        training_pb2.ExplainTrainingRunRequest(
            dataset=dataset.name, prediction_files=[question.text]
        )
    )


def train(
    clients: Clients,
    question: Question,
    dataset: feature_pb2.Dataset,
    fitting: Fitting,
    stages: Stages,
) -> Trained:
    """Train a version and publish it, or find it as an earlier call trained it.

    Args:
        clients: Of the services.
        question: What the model answers.
        dataset: What it learns from.
        fitting: How it is fitted.
        stages: Shows how far it has come.
    """
    stage = "train"
    stages.show(stage, common_pb2.Progress(message="starting"))
    seed, placement = fitting.seed, fitting.placement
    text = question.text if fitting.is_thorough else without_search(question.text)
    ways = ["thorough"] if fitting.is_thorough else []
    nodes = [placement.SerializeToString(deterministic=True).hex()] if placement else []
    request = training_pb2.CreateTrainingRunRequest(
        model=f"models/{question.name}",
        dataset=dataset.name,
        prediction_files=[text],
        seed=seed,
        request_id=request_id("run", RELEASE, dataset.content_hash, seed, text, *nodes, *ways),
        has_layer_times=True,
        placement=placement,
        is_thorough=fitting.is_thorough,
    )
    run = clients.train(request, _shown(stages, stage))
    stages.end(stage, run.model_version)
    version = clients.inference.GetModelVersion(
        inference_pb2.GetModelVersionRequest(name=run.model_version)
    ).model_version
    evaluation = json.loads((Path(version.uri) / "evaluation.json").read_text("utf-8"))
    return Trained(version, evaluation)


def _shown(stages: Stages, stage: str) -> Callable[[LongWork], None]:
    """Show how far work has come and, where it tells them, its last losses."""

    def show(work: LongWork) -> None:
        progress = common_pb2.Progress()
        progress.CopyFrom(work.progress)
        if isinstance(work, training_pb2.TrainingRun) and work.losses:
            last = work.losses[-1]
            progress.message += (
                f"; losses {last.train_loss:.4f}, {last.validation_loss:.4f} on held-out rows"
            )
        stages.show(stage, progress)

    return show
