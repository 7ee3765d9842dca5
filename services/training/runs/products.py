"""A whole run over candidate products as a function: a dataset in, files of a version out."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import jax
import numpy as np
from safetensors.numpy import save

from services.training.models import LayerList
from services.training.runs.candidate_answer import candidate_program, candidate_signature
from services.training.runs.candidate_fits import CandidateFits
from services.training.runs.config import to_yaml
from services.training.runs.export import PREDICT_FILE, WEIGHTS_FILE
from services.training.runs.judged import JUDGED_FILE
from services.training.runs.kept import Fits, FreshFits
from services.training.runs.losses import curves
from services.training.runs.product_answer import (
    answers,
    arrays_of,
    fit_reading,
    objective,
)
from services.training.runs.product_card import product_card
from services.training.runs.product_config import HEADS, ProductRunConfig, product_layers
from services.training.runs.product_judge import baselines, judge_products, judged_rows
from services.training.runs.result import RunResult
from services.training.runs.run import EVALUATION, FINAL, Reporter
from services.training.runs.timing import Sample
from shared.dataset.products import ProductDatasetReader, ProductManifest, ProductRows
from shared.errors import FailedPreconditionError

Weights = Mapping[str, Any]
Times = tuple[datetime, ...]


def run_products(
    reader: ProductDatasetReader,
    model: str,
    config: ProductRunConfig,
    reporter: Reporter,
    fits: Fits | None = None,
) -> RunResult:
    """Judge on the last instant what earlier ones taught, then fit on the latest, and export.

    Args:
        reader: A training dataset of candidate products.
        model: Name of the model without its collection.
        config: All choices of the run.
        reporter: Hears progress and losses.
        fits: Carries out the fits.

    Raises:
        FailedPreconditionError: The dataset is not for training.
    """
    dataset = reader.manifest
    if dataset.purpose != "training":
        raise FailedPreconditionError(
            f"{dataset.name} is a {dataset.purpose} dataset; train on one made for training",
            reason="DATASET_NOT_FOR_TRAINING",
            name=dataset.name,
        )
    rows = reader.rows()
    require_known_products(rows, dataset)
    layers = product_layers(config, dataset.candidate_count, len(dataset.features))
    earlier = judged_instants(dataset.as_ofs, dataset.horizon_days, config.instants)
    latest = dataset.as_ofs[-config.instants :]
    taught, train = (_buyers(_at(rows, as_ofs)) for as_ofs in (earlier, latest))
    fitting = CandidateFits(layers, objective, config, reporter, fits or FreshFits())

    reading = fit_reading(taught, dataset.features)
    judged = fitting.fit(EVALUATION, arrays_of(taught, reading), reading)
    test = _at(rows, dataset.as_ofs[-1:])
    reporter.progress(fitting.done, fitting.total, "judging on later time")
    said = {"model": answers(layers, judged, test), **baselines(test, dataset.features)}
    evaluation = {
        "fold": {"train_as_ofs": _texts(earlier), "test_as_of": _texts(dataset.as_ofs[-1:])[0]},
        **judge_products(said, test, samples=config.bootstrap_samples, seed=config.seed),
    }

    reading = fit_reading(train, dataset.features)
    weights = fitting.fit(FINAL, arrays_of(train, reading), reading)
    few = arrays_of(train.rows(slice(0, config.batch_size)), weights)
    reporter.fitted(Sample(layers, objective, few))
    reporter.progress(fitting.total, fitting.total, "exporting")
    evaluation["losses"] = curves(fitting.losses)
    manifest = {
        **_provenance(dataset, config, layers),
        "train_as_ofs": _texts(latest),
        "row_count": len(train),
        "metrics": evaluation["metrics"]["model"],
    }
    files = {
        PREDICT_FILE: candidate_program(
            layers, HEADS, weights, dataset.candidate_count, len(dataset.features)
        ),
        WEIGHTS_FILE: save(dict(weights)),
        JUDGED_FILE: judged_rows(said["model"], test).content,
        "evaluation.json": _json(evaluation),
        "model_card.md": product_card({**manifest, "model": model}, evaluation).encode(),
        "config.yaml": to_yaml(config).encode(),
    }
    reporter.progress(fitting.total, fitting.total, "done")
    return RunResult(files, manifest)


def judged_instants(as_ofs: Times, horizon_days: int, most: int) -> Times:
    """The latest instants whose label windows end by the last instant, at which is judged.

    Raises:
        FailedPreconditionError: There is none.
    """
    last = as_ofs[-1] - timedelta(days=horizon_days) + timedelta(hours=2)  # clocks change
    found = tuple(each for each in as_ofs[:-1] if each <= last)[-most:]
    if not found:
        raise FailedPreconditionError(
            f"no training instant lies {horizon_days} days before the last; bring more history",
            reason="TOO_LITTLE_DATA",
            rule="instants",
            value=len(as_ofs),
            threshold=2,
        )
    return found


def require_known_products(rows: ProductRows, dataset: ProductManifest) -> None:
    """Refuse candidates that were first ordered at a row's instant or later.

    Raises:
        FailedPreconditionError: The message names the first product that came from later.
    """
    first = np.array([*dataset.first_sold_ms, -1])  # the last stands for places left free
    is_late = first[rows.products] >= rows.as_ofs[:, None]
    if is_late.any():
        row, place = np.argwhere(is_late)[0]
        product = dataset.products[rows.products[row, place]]
        as_of = datetime.fromtimestamp(rows.as_ofs[row] / 1000, UTC).isoformat()
        raise FailedPreconditionError(
            f"product {product!r} is a candidate at {as_of} but was first ordered later: the list "
            "of products knows the future; build the dataset again",
            reason="PRODUCT_FROM_LATER",
            product=product,
            as_of=as_of,
        )


def _buyers(rows: ProductRows) -> ProductRows:
    """Those of whom something that they order is among the candidates."""
    return rows.rows(rows.is_ordered.any(axis=1))


def _at(rows: ProductRows, as_ofs: Times) -> ProductRows:
    stamps = [round(each.timestamp() * 1000) for each in as_ofs]
    return rows.rows(np.isin(rows.as_ofs, stamps))


def _provenance(
    dataset: ProductManifest, config: ProductRunConfig, layers: LayerList
) -> dict[str, Any]:
    shape = (dataset.candidate_count, len(dataset.features))
    return {
        "kind": dataset.kind,
        "predictions": list(dataset.predictions),
        "dataset_hash": dataset.content_hash,
        "horizon_days": dataset.horizon_days,
        "features": list(dataset.features),
        "candidate_count": dataset.candidate_count,
        "product_count": len(dataset.products),
        "parameter_count": sum(layer.layout.size for layer in layers),
        "signature": candidate_signature(HEADS, *shape),
        "config": asdict(config),
        "jax_version": jax.__version__,
    }


def _texts(as_ofs: Times) -> list[str]:
    return [each.astimezone(UTC).isoformat() for each in as_ofs]


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"
