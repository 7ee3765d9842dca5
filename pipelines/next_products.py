"""Products that customers are likely to order next: a model of its own beside the main job's."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
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

PREDICTION = "next_product"
MODEL = f"models/{PREDICTION}"
PLACES = 10
COLUMNS = (
    "user",
    *(f"r{place}" for place in range(1, PLACES + 1)),
    *(f"n{place}" for place in range(1, PLACES + 1)),
)

_STAGE = "next products"
_NOT_THERE = ("NO_PRODUCTS", "TOO_LITTLE_DATA")


@dataclass(frozen=True)
class NextProducts:
    """Products named to customers, or why there are none."""

    table: pa.Table | None
    evaluation: Mapping[str, Any]
    why_not: str = ""

    def summary(self) -> dict[str, Any]:
        """Return what summary.json says of it."""
        if self.table is None:
            return {"why_not": self.why_not}
        return {key: self.evaluation[key] for key in ("fold", "metrics", "users")}


def predict(clients: Clients, answers: Answers, stages: Stages) -> NextProducts:
    """Train on what the main job's instant knew and name products for every customer known then.

    Args:
        clients: Of the services.
        answers: What the main job imported, and the instant it predicted from.
        stages: Shows how far it has come.
    """
    stages.show(_STAGE, common_pb2.Progress(message="starting"))
    try:
        found = _predict(clients, answers, stages)
    except DomainError as error:
        if error.reason not in _NOT_THERE:
            raise
        stages.end(_STAGE, f"none: {error.message}")
        return NextProducts(None, {}, error.message)
    stages.end(_STAGE, f"{found.table.num_rows:,} customers" if found.table else "")
    return found


def next_products_csv(table: pa.Table, shown_ids: Mapping[int, str]) -> bytes:
    """Return the file, a row a customer, ordered by the id shown.

    Args:
        table: user_key and lists of products, the likeliest first.
        shown_ids: What each user_key is called in files; others are left out.
    """
    rows = sorted(
        [shown_ids[row["user_key"]], *_places(row["any"]), *_places(row["new"])]
        for row in table.to_pylist()
        if row["user_key"] in shown_ids
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue().encode()


def _places(products: Sequence[str]) -> list[str]:
    return [*products, *[""] * (PLACES - len(products))]


def _predict(clients: Clients, answers: Answers, stages: Stages) -> NextProducts:
    text, seed = shipped_text(PREDICTION), answers.job.seed
    as_of_time = answers.as_of_time
    held = fingerprint(answers.everything, as_of_time)

    def show(work: Any) -> None:
        stages.show(_STAGE, work.progress)

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
            model=MODEL,
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
    return NextProducts(table, json.loads(evaluation))
