"""Translates messages to use cases; holds no rule of its own."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from oriel.feature.v1 import feature_pb2 as pb
from oriel.feature.v1 import feature_pb2_grpc as rpc
from services.feature.adapters.image_folder import ImageFolder
from services.feature.adapters.table_file import TableFile
from services.feature.domain.plan import FoldPlan
from services.feature.domain.question import (
    click_question_of,
    image_question_of,
    product_question_of,
    question_of,
    table_question_of,
)
from services.feature.domain.rules import Rule, Survey
from services.feature.usecases.build import SCORING, TRAINING, DatasetBuilder, Order
from services.feature.usecases.build_clicks import build_clicks, explain_clicks
from services.feature.usecases.build_images import build_images, explain_images
from services.feature.usecases.build_product import ProductDatasetBuilder, ProductOrder
from services.feature.usecases.build_table import build_table, explain_table
from services.feature.usecases.explanation import Explanation
from shared.config.sources import SourceKind, source_of
from shared.dataset import Manifest
from shared.dataset.clicks import ClickManifest
from shared.dataset.images import ImageManifest
from shared.dataset.tables import TableManifest
from shared.errors import InvalidArgumentError
from shared.features.calendar import Instant
from shared.jobs import Job, JobContext, JobStore
from shared.jobs.messages import progress_message, state_message, status_message, time_message

_PURPOSES: Mapping[int, str] = {
    pb.DATASET_PURPOSE_TRAINING: TRAINING,
    pb.DATASET_PURPOSE_SCORING: SCORING,
}


class FeatureServicer(rpc.FeatureServiceServicer):
    """Datasets as durable resources."""

    def __init__(
        self,
        builder: DatasetBuilder,
        products: ProductDatasetBuilder,
        jobs: JobStore,
        folder: Path,
    ) -> None:
        self._builder, self._products = builder, products
        self._jobs, self._folder = jobs, folder

    def CreateDataset(
        self, request: pb.CreateDatasetRequest, _: grpc.ServicerContext
    ) -> pb.CreateDatasetResponse:
        """Start to build a dataset."""
        request_id = request.request_id or uuid.uuid4().hex
        identifier = sha256(request_id.encode()).hexdigest()[:16]
        if (kind := _kind(request)) == "products":
            return self._create_products(request, request_id, identifier)
        if kind != "users":
            return self._create_sourced(kind, request, request_id, identifier)
        order = self._order(request, f"datasets/{identifier}", _purpose(request.purpose))
        asked = _asked(request, order.purpose)

        def work(job: JobContext) -> Mapping[str, Any]:
            folder = self._folder / identifier
            return _result(self._builder.build(order, folder, job), folder)

        return pb.CreateDatasetResponse(
            dataset=dataset_message(self._jobs.submit(request_id, asked, work))
        )

    def _create_products(
        self, request: pb.CreateDatasetRequest, request_id: str, identifier: str
    ) -> pb.CreateDatasetResponse:
        """Start to build a dataset of candidate products."""
        order = self._product_order(request, f"datasets/{identifier}", _purpose(request.purpose))
        asked = _asked(request, order.purpose)

        def work(job: JobContext) -> Mapping[str, Any]:
            folder = self._folder / identifier
            manifest = self._products.build(order, folder, job)
            return {
                "predictions": list(manifest.predictions),
                "as_ofs": [each.isoformat() for each in manifest.as_ofs],
                "known_at": manifest.known_at.isoformat(),
                "uri": str(folder),
                "content_hash": manifest.content_hash,
                "row_count": manifest.row_count,
            }

        return pb.CreateDatasetResponse(
            dataset=dataset_message(self._jobs.submit(request_id, asked, work))
        )

    def _create_sourced(
        self, kind: SourceKind, request: pb.CreateDatasetRequest, request_id: str, identifier: str
    ) -> pb.CreateDatasetResponse:
        """Start to build a dataset of something that has no time."""
        _require_timeless_training(request)
        folder = self._folder / identifier
        build = _sourced(kind, list(request.prediction_files), f"datasets/{identifier}", folder)
        asked = {"prediction_files": list(request.prediction_files), "purpose": TRAINING}

        def work(job: JobContext) -> Mapping[str, Any]:
            manifest = build(job)
            return {
                "predictions": list(manifest.predictions),
                "uri": str(folder),
                "content_hash": manifest.content_hash,
                "row_count": manifest.row_count,
            }

        return pb.CreateDatasetResponse(
            dataset=dataset_message(self._jobs.submit(request_id, asked, work))
        )

    def GetDataset(
        self, request: pb.GetDatasetRequest, _: grpc.ServicerContext
    ) -> pb.GetDatasetResponse:
        """Return a dataset as it stands."""
        return pb.GetDatasetResponse(dataset=dataset_message(self._jobs.get(request.name)))

    def ListDatasets(
        self, request: pb.ListDatasetsRequest, _: grpc.ServicerContext
    ) -> pb.ListDatasetsResponse:
        """Return a page of datasets, newest first."""
        jobs, token = self._jobs.list(request.page_size, request.page_token)
        return pb.ListDatasetsResponse(datasets=map(dataset_message, jobs), next_page_token=token)

    def CancelDataset(
        self, request: pb.CancelDatasetRequest, _: grpc.ServicerContext
    ) -> pb.CancelDatasetResponse:
        """Ask a build to stop."""
        return pb.CancelDatasetResponse(dataset=dataset_message(self._jobs.cancel(request.name)))

    def WatchDataset(
        self, request: pb.WatchDatasetRequest, _: grpc.ServicerContext
    ) -> Iterator[pb.WatchDatasetResponse]:
        """Yield a dataset at every change until it has ended."""
        for job in self._jobs.watch(request.name):
            yield pb.WatchDatasetResponse(dataset=dataset_message(job))

    def ExplainDataset(
        self, request: pb.ExplainDatasetRequest, _: grpc.ServicerContext
    ) -> pb.ExplainDatasetResponse:
        """Say what a training dataset would hold."""
        kind, texts = _kind(request), list(request.prediction_files)
        if kind == "table":
            table = table_question_of(texts)
            return _explained(explain_table(table, TableFile(Path(table.path))))
        if kind == "sessions":
            clicks = click_question_of(texts)
            return _explained(explain_clicks(clicks, TableFile(Path(clicks.path))))
        if kind == "images":
            images = image_question_of(texts)
            return _explained(explain_images(images, ImageFolder(Path(images.images))))
        if kind == "products":
            return _explained(self._products.explain(self._product_order(request, "", TRAINING)))
        order = self._order(request, f"datasets/explain-{uuid.uuid4().hex}", TRAINING)
        plan, survey, found = self._builder.explain(order)
        instants = plan.spine.instants
        return pb.ExplainDatasetResponse(
            as_of_times=[_stamp(instant.time) for instant in instants],
            folds=[_fold_message(fold, instants, survey) for fold in plan.folds],
            features=[feature.name for feature in order.question.features],
            rules=map(_rule_message, found),
            row_count=sum(survey.eligible),
            eligible_counts=survey.eligible,
            active_counts=survey.active,
        )

    def _order(
        self, request: pb.CreateDatasetRequest | pb.ExplainDatasetRequest, name: str, purpose: str
    ) -> Order:
        question = question_of(list(request.prediction_files))
        return Order(name, purpose, question, *self._times(request))

    def _product_order(
        self, request: pb.CreateDatasetRequest | pb.ExplainDatasetRequest, name: str, purpose: str
    ) -> ProductOrder:
        question = product_question_of(list(request.prediction_files))
        return ProductOrder(name, purpose, question, *self._times(request))

    def _times(
        self, request: pb.CreateDatasetRequest | pb.ExplainDatasetRequest
    ) -> tuple[datetime, datetime]:
        """The as_of and the instant of knowledge that are asked for."""
        as_of = _time(request, "as_of_time") or self._builder.default_as_of()
        self._builder.require_day_start(as_of)
        return as_of, _time(request, "known_at_time") or as_of


def dataset_message(job: Job) -> pb.Dataset:
    """Return a build as the dataset it makes."""
    done = job.result
    purpose = next(value for value, name in _PURPOSES.items() if name == job.request["purpose"])
    return pb.Dataset(
        name=job.name,
        predictions=done.get("predictions", []),
        purpose=purpose,  # type: ignore[arg-type]  # an enum's number is an int
        as_of_times=[_stamp(datetime.fromisoformat(text)) for text in done.get("as_ofs", [])],
        known_at_time=_stamp(datetime.fromisoformat(done["known_at"]))
        if "known_at" in done
        else None,
        state=state_message(job),
        progress=progress_message(job),
        error=status_message(job),
        uri=done.get("uri", ""),
        content_hash=done.get("content_hash", ""),
        row_count=done.get("row_count", 0),
        user_count=done.get("user_count", 0),
        feature_set_version=done.get("feature_set_version", ""),
        create_time=time_message(job.create_time),
        end_time=time_message(job.end_time),
    )


def _result(manifest: Manifest, folder: Path) -> Mapping[str, Any]:
    return {
        "predictions": list(manifest.predictions),
        "as_ofs": [each.isoformat() for each in manifest.as_ofs],
        "known_at": manifest.known_at.isoformat(),
        "uri": str(folder),
        "content_hash": manifest.content_hash,
        "row_count": manifest.row_count,
        "user_count": manifest.user_count,
        "feature_set_version": manifest.feature_set_version,
    }


Sourced = Callable[[JobContext], ImageManifest | TableManifest | ClickManifest]


def _sourced(kind: SourceKind, texts: list[str], name: str, folder: Path) -> Sourced:
    """What builds a dataset without time; refuses what is wrong before work starts."""
    if kind == "table":
        table = table_question_of(texts)
        rows = TableFile(Path(table.path))
        return lambda job: build_table(name, table, rows, folder, job)
    if kind == "sessions":
        clicks = click_question_of(texts)
        visits = TableFile(Path(clicks.path))
        return lambda job: build_clicks(name, clicks, visits, folder, job)
    images = image_question_of(texts)
    pictures = ImageFolder(Path(images.images))
    return lambda job: build_images(name, images, pictures, folder, job)


def _kind(request: pb.CreateDatasetRequest | pb.ExplainDatasetRequest) -> SourceKind:
    """What the files ask about; a file about users has no say beside one that names a source."""
    kinds = map(source_of, request.prediction_files)
    return next((kind for kind in kinds if kind != "users"), "users")


def _fold_message(fold: FoldPlan, instants: tuple[Instant, ...], survey: Survey) -> pb.Fold:
    return pb.Fold(
        name=fold.name,
        train_as_of_times=[_stamp(instants[index].time) for index in fold.train],
        test_as_of_times=[_stamp(instants[index].time) for index in fold.test],
        train_row_count=sum(survey.eligible[index] for index in fold.train),
        test_row_count=sum(survey.eligible[index] for index in fold.test),
    )


def _rule_message(rule: Rule) -> pb.DataRule:
    return pb.DataRule(
        rule=rule.name, value=rule.value, threshold=rule.threshold, is_met=rule.is_met
    )


def _explained(found: Explanation) -> pb.ExplainDatasetResponse:
    """What a dataset without time would hold."""
    return pb.ExplainDatasetResponse(
        folds=[
            pb.Fold(name=name, train_row_count=train, test_row_count=test)
            for name, (train, test) in found.folds.items()
        ],
        features=found.features,
        rules=map(_rule_message, found.rules),
        excluded=[
            pb.ExcludedColumn(column=column, reason=reason)
            for column, reason in found.excluded.items()
        ],
        row_count=found.row_count,
    )


def _purpose(value: int) -> str:
    if value not in _PURPOSES:
        raise InvalidArgumentError(
            "purpose is not set; use DATASET_PURPOSE_TRAINING or DATASET_PURPOSE_SCORING",
            reason="PURPOSE_MISSING",
        )
    return _PURPOSES[value]


def _require_timeless_training(request: pb.CreateDatasetRequest) -> None:
    if _purpose(request.purpose) != TRAINING:
        raise InvalidArgumentError(
            "purpose: a file with a source is for training only; use DATASET_PURPOSE_TRAINING",
            reason="PURPOSE_NOT_FOR_SOURCES",
        )
    for field in ("as_of_time", "known_at_time"):
        if request.HasField(field):
            raise InvalidArgumentError(
                f"{field} is set, but a file with a source has no such time; leave it unset",
                reason="TIME_NOT_FOR_SOURCES",
                field=field,
            )


def _time(
    request: pb.CreateDatasetRequest | pb.ExplainDatasetRequest, field: str
) -> datetime | None:
    if not request.HasField(field):  # type: ignore[arg-type]  # both messages have both fields
        return None
    stamp: Timestamp = getattr(request, field)
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgumentError(
            f"{field} is not an instant between the years 1 and 9999",
            reason="BAD_TIME",
            field=field,
        ) from error


def _asked(request: pb.CreateDatasetRequest, purpose: str) -> dict[str, Any]:
    """What a request_id stands for: the same id with something else is refused."""
    return {
        "prediction_files": list(request.prediction_files),
        "purpose": purpose,
        "as_of_time": _text(request, "as_of_time"),
        "known_at_time": _text(request, "known_at_time"),
    }


def _text(request: pb.CreateDatasetRequest, field: str) -> str:
    time = _time(request, field)
    return time.isoformat() if time else ""


def _stamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
