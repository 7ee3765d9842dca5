"""The result files of the main job, from what the services answered."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from oriel.feature.v1 import feature_pb2
from oriel.ingestion.v1 import ingestion_pb2
from pipelines.clients import Clients
from pipelines.main_job import Answers, stamp
from pipelines.main_job_publish import FILES
from pipelines.main_job_rows import predictions_csv, shown_id
from pipelines.next_orders import Due, earlier_orders, next_orders_of
from pipelines.next_orders_csv import next_orders_csv
from pipelines.next_products import next_products_csv
from pipelines.report import (
    DatasetFacts,
    ModelFacts,
    ReportInputs,
    WorkspaceTotals,
    totals_of,
    window_sales,
    write_report,
)
from pipelines.report.gather import YEAR, shift
from pipelines.segments.discover import SegmentAnswer
from pipelines.segments.discovered import segments_csv
from pipelines.side_question import SideAnswer
from shared.dataset import DatasetReader, Manifest

_RECENCY, _ORDERS, _GROSS = "recency_days", "orders_ever", "gross_365d"
_GAP = "gap_mean_days"


def write(
    clients: Clients,
    answers: Answers,
    segments: SegmentAnswer,
    products: SideAnswer,
    orders: SideAnswer,
    folder: Path,
    *,
    keep_ids: bool,
) -> dict[str, Any]:
    """Write report.html and the tables of customers; return what summary.json says."""
    scoring = DatasetReader(Path(answers.scoring.uri))
    training = DatasetReader(Path(answers.training.uri)).manifest
    predictions = _arrow_file(Path(answers.batch.uri))
    keys = predictions["user_key"].to_pylist()
    ids = {
        key: shown_id(key, source_id, keep_ids=keep_ids)
        for key, source_id in zip(keys, clients.source_ids(keys), strict=True)
    }
    version = Path(answers.model.uri)
    evaluation = json.loads((version / "evaluation.json").read_text("utf-8"))
    model = json.loads((version / "manifest.json").read_text("utf-8"))
    days = scoring.manifest.horizon_days
    windows = _windows(clients, answers, days)
    inputs = ReportInputs(
        source="simulator" if answers.job.is_simulated else answers.imported.mapping,
        is_simulated=answers.job.is_simulated,
        as_of_time=answers.as_of_time,
        horizon_days=days,
        currency=answers.before.currency,
        time_zone=answers.before.time_zone,
        totals=totals_of(answers.before),
        last_window=windows[0],
        year_ago_window=windows[1],
        training=_dataset_facts(answers.training, training),
        scoring=_dataset_facts(answers.scoring, scoring.manifest),
        model=_model_facts(answers.model.name, model),
        evaluation=evaluation,
        predictions=predictions,
        history=_history(scoring),
        source_ids=ids,
        segments=segments.found,
        due=_due(orders, answers, predictions, scoring),
    )
    write_report(inputs, folder)
    (folder / "predictions.csv").write_bytes(predictions_csv(predictions, ids))
    if segments.found is not None:
        (folder / "segments.csv").write_bytes(segments_csv(segments.found, ids))
    if products.table is not None:
        (folder / "next_products.csv").write_bytes(next_products_csv(products.table, ids))
    if inputs.due is not None:
        (folder / "next_order.csv").write_bytes(next_orders_csv(inputs.due.orders, ids))
    return {
        **_summary(inputs, answers, folder),
        "segments": segments.summary(),
        "next_products": products.summary(),
        "next_order": orders.summary(),
    }


def _due(
    asked: SideAnswer, answers: Answers, predictions: pa.Table, scoring: DatasetReader
) -> Due | None:
    """Return when customers order next, beside what came of the same question before."""
    if asked.table is None:
        return None
    orders = next_orders_of(asked.table, predictions)
    arrays = scoring.arrays()
    gaps = arrays.features[:, scoring.manifest.feature_names.index(_GAP)].astype(np.float64)
    gap_of = dict(zip(arrays.user_keys.tolist(), gaps.tolist(), strict=True))
    training = DatasetReader(Path(asked.training))
    horizon = timedelta(days=scoring.manifest.horizon_days)
    return Due(
        orders=orders,
        usual_gap_days=np.array([gap_of[key] for key in orders.user_keys.tolist()]),
        last_window=earlier_orders(training, answers.as_of_time - horizon),
        year_ago=earlier_orders(training, answers.as_of_time - YEAR),
        measured=asked.evaluation["metrics"]["model"],
    )


def _windows(clients: Clients, answers: Answers, days: int) -> tuple[Any, Any]:
    """Return the sales of the window before the instant, and of the one predicted a year ago."""

    def totals_before(moment: datetime) -> WorkspaceTotals:
        request = ingestion_pb2.GetWorkspaceSummaryRequest(before_time=stamp(moment))
        return totals_of(clients.ingestion.GetWorkspaceSummary(request))

    zone, as_of = answers.before.time_zone, answers.as_of_time
    last = shift(as_of, timedelta(days=-days), zone)
    return (
        window_sales(totals_before, last, days, zone),
        window_sales(totals_before, shift(as_of, -YEAR, zone), days, zone),
    )


def _dataset_facts(dataset: feature_pb2.Dataset, manifest: Manifest) -> DatasetFacts:
    return DatasetFacts(
        content_hash=dataset.content_hash,
        row_count=dataset.row_count,
        user_count=dataset.user_count,
        feature_count=len(manifest.features),
        feature_set_version=dataset.feature_set_version,
        as_of_times=tuple(time.ToDatetime(tzinfo=UTC) for time in dataset.as_of_times),
        event_count=manifest.checks["count"],
        unique_event_count=manifest.checks["unique"],
    )


def _model_facts(name: str, manifest: Mapping[str, Any]) -> ModelFacts:
    low, middle = manifest["segment_limits_micros"]
    return ModelFacts(name, manifest["dataset_hash"], (low, middle))


def _history(scoring: DatasetReader) -> pa.Table:
    """Return what each customer has done so far, from the features the model saw."""
    arrays = scoring.arrays()
    names = [feature.name for feature in scoring.manifest.features]
    column = {name: arrays.features[:, index] for index, name in enumerate(names)}
    gross = np.nan_to_num(column[_GROSS].astype(np.float64))
    return pa.table(
        {
            "user_key": arrays.user_keys,
            "recency_days": column[_RECENCY].astype(np.float64),
            "order_count": np.nan_to_num(column[_ORDERS]).astype(np.int64),
            "gross_micros": np.rint(gross * 1e6).astype(np.int64),
        }
    )


def _summary(inputs: ReportInputs, answers: Answers, folder: Path) -> dict[str, Any]:
    """Return figures for programs; the same for the same events, wherever and whenever."""
    files = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
    }
    return {
        "format_version": 1,
        "source": inputs.source,
        "is_simulated": inputs.is_simulated,
        "as_of_time": inputs.as_of_time.isoformat(),
        "horizon_days": inputs.horizon_days,
        "currency": inputs.currency,
        "time_zone": inputs.time_zone,
        "totals": _totals(answers.everything),
        "totals_before_as_of": _totals(answers.before),
        "datasets": {
            "training": _dataset(inputs.training),
            "scoring": _dataset(inputs.scoring),
        },
        "model": {
            "name": inputs.model.name,
            "segment_limits": [micros / 1e6 for micros in inputs.model.segment_limits_micros],
        },
        "evaluation": {key: inputs.evaluation[key] for key in ("fold", "metrics")},
        FILES: files,
    }


def _totals(held: ingestion_pb2.GetWorkspaceSummaryResponse) -> dict[str, Any]:
    return {
        "events": held.event_count,
        "customers": held.user_count,
        "orders": held.order_count,
        "gross": held.gross_micros / 1e6,
        "net": held.net_micros / 1e6,
        "gross_micros": held.gross_micros,
        "net_micros": held.net_micros,
        "orders_without_customer": held.anonymous_order_count,
        "gross_without_customer": held.anonymous_gross_micros / 1e6,
        "lines": held.line_count,
        "lines_without_customer": held.anonymous_line_count,
        "rejected": held.rejected_count,
        "rejected_by_reason": {
            f"{each.reason}:{each.field}": each.count for each in held.rejections
        },
        "first_event_time": held.first_event_time.ToJsonString(),
        "last_event_time": held.last_event_time.ToJsonString(),
    }


def _dataset(facts: DatasetFacts) -> dict[str, Any]:
    return {
        "content_hash": facts.content_hash,
        "rows": facts.row_count,
        "customers": facts.user_count,
        "features": facts.feature_count,
        "feature_set_version": facts.feature_set_version,
        "as_of_times": [time.isoformat() for time in facts.as_of_times],
        "events": facts.event_count,
        "unique_events": facts.unique_event_count,
    }


def _arrow_file(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()
