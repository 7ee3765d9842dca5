"""A question beside the main job's: a model of its own, for every customer known at its instant."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2
from oriel.inference.v1 import inference_pb2
from oriel.training.v1 import training_pb2
from pipelines.clients import Clients
from pipelines.main_job import RELEASE, Answers, Stages, fingerprint, request_id, stamp
from shared.config.prediction import shipped_text
from shared.errors import DomainError

_NOT_THERE = ("NO_PRODUCTS", "TOO_LITTLE_DATA")
_TOLD = ("fold", "metrics", "users")


@dataclass(frozen=True)
class SideAnswer:
    """What is said of customers, or why nothing is.

    Attributes:
        table: What the batch left; None where nothing is said.
        evaluation: The training run's evaluation.json.
        why_not: Why nothing is said.
        training: Folder of the dataset that was learned from.
    """

    table: pa.Table | None
    evaluation: Mapping[str, Any]
    why_not: str = ""
    training: str = ""

    def summary(self) -> dict[str, Any]:
        """Return what summary.json says of it."""
        if self.table is None:
            return {"why_not": self.why_not}
        return {key: self.evaluation[key] for key in _TOLD if key in self.evaluation}


def ask(
    clients: Clients, answers: Answers, stages: Stages, prediction: str, stage: str
) -> SideAnswer:
    """Train on what the main job's instant knew and answer for every customer known then.

    Args:
        clients: Of the services.
        answers: What the main job imported, and the instant it predicted from.
        stages: Shows how far it has come.
        prediction: Name of the shipped prediction file, and of the model.
        stage: What the work is called while it goes on.
    """
    stages.show(stage, common_pb2.Progress(message="starting"))
    try:
        found = _answer(clients, answers, stages, prediction, stage)
    except DomainError as error:
        if error.reason not in _NOT_THERE:
            raise
        stages.end(stage, f"none: {error.message}")
        return SideAnswer(None, {}, error.message)
    stages.end(stage, f"{found.table.num_rows:,} customers" if found.table else "")
    return found


def _answer(
    clients: Clients, answers: Answers, stages: Stages, prediction: str, stage: str
) -> SideAnswer:
    text, seed = shipped_text(prediction), answers.job.seed
    as_of_time = answers.as_of_time
    held = fingerprint(answers.everything, as_of_time)

    def show(work: Any) -> None:
        stages.show(stage, work.progress)

    def dataset(purpose: "feature_pb2.DatasetPurpose.ValueType") -> feature_pb2.Dataset:
        request = feature_pb2.CreateDatasetRequest(
            prediction_files=[text],
            purpose=purpose,
            as_of_time=stamp(as_of_time),
            request_id=request_id("dataset", held, purpose, text),
        )
        return clients.build_dataset(request, show)

    training = dataset(feature_pb2.DATASET_PURPOSE_TRAINING)
    run = clients.train(
        training_pb2.CreateTrainingRunRequest(
            model=f"models/{prediction}",
            dataset=training.name,
            prediction_files=[text],
            seed=seed,
            request_id=request_id("run", RELEASE, training.content_hash, seed, text),
        ),
        show,
    )
    scoring = dataset(feature_pb2.DATASET_PURPOSE_SCORING)
    batch = clients.predict_all(
        inference_pb2.CreateBatchPredictionRequest(
            model=run.model_version,
            dataset=scoring.name,
            request_id=request_id("batch", RELEASE, scoring.content_hash, run.model_version),
        ),
        show,
    )
    version = clients.inference.GetModelVersion(
        inference_pb2.GetModelVersionRequest(name=run.model_version)
    ).model_version
    evaluation = (Path(version.uri) / "evaluation.json").read_text("utf-8")
    with pa.memory_map(batch.uri) as source:
        table = pa.ipc.open_file(source).read_all()
    return SideAnswer(table, json.loads(evaluation), training=training.uri)
