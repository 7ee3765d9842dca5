"""A whole run over clicks as a function: a dataset in, the files of a version out."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import jax
import numpy as np
from safetensors.numpy import save

from services.training.models import LayerList
from services.training.runs.candidate_answer import candidate_program, candidate_signature
from services.training.runs.candidate_fits import CandidateFits
from services.training.runs.click_answer import answers, arrays_of, fit_reading, objective
from services.training.runs.click_card import click_card
from services.training.runs.click_config import HEADS, ClickRunConfig, click_layers
from services.training.runs.click_judge import LISTED, judge_clicks, listed
from services.training.runs.config import to_yaml
from services.training.runs.export import PREDICT_FILE, WEIGHTS_FILE
from services.training.runs.kept import Fits, FreshFits
from services.training.runs.losses import curves
from services.training.runs.result import RunResult
from services.training.runs.run import EVALUATION, FINAL, Reporter
from services.training.runs.timing import Sample
from shared.dataset.clicks import NONE, ClickBlock, ClickDatasetReader, ClickManifest, ClickRows
from shared.errors import FailedPreconditionError

NumpyArray = np.ndarray[Any, Any]

TEST_FILE = "test_predictions.csv"


def run_clicks(
    reader: ClickDatasetReader,
    model: str,
    config: ClickRunConfig,
    reporter: Reporter,
    fits: Fits | None = None,
) -> RunResult:
    """Judge on the last sessions what earlier ones taught, then fit to the latest, and export.

    Args:
        reader: A dataset of clicks.
        model: Name of the model without its collection.
        config: All choices of the run.
        reporter: Hears progress and losses.
        fits: Carries out the fits.

    Raises:
        FailedPreconditionError: A candidate was first seen later than what is known of it.
    """
    dataset, rows = reader.manifest, reader.rows()
    require_known_items(rows, dataset)
    layers = click_layers(config, dataset.candidate_count, len(dataset.features))
    fitting = CandidateFits(layers, objective, config, reporter, fits or FreshFits())

    taught = _found(rows, dataset.blocks[:-1])
    reading = fit_reading(taught, dataset.features)
    judged = fitting.fit(EVALUATION, arrays_of(taught, reading), reading)
    last = _of(rows, dataset.blocks[-1:])
    reporter.progress(fitting.done, fitting.total, "judging on later sessions")
    evaluation = {
        "fold": {"train_rows": len(taught), "test_rows": len(last)},
        **_judged(answers(layers, judged, last), last, dataset, config),
    }

    train = _found(rows, dataset.blocks[1:])
    reading = fit_reading(train, dataset.features)
    weights = fitting.fit(FINAL, arrays_of(train, reading), reading)
    files = {}
    if dataset.test:
        test = _of(rows, (dataset.test,))
        scores = answers(layers, weights, test)
        evaluation["test"] = _judged(scores, test, dataset, config)
        files[TEST_FILE] = _lists(listed(scores, test.items), test, dataset)
    few = arrays_of(train.rows(slice(0, config.batch_size)), weights)
    reporter.fitted(Sample(layers, objective, few))
    reporter.progress(fitting.total, fitting.total, "exporting")
    evaluation["losses"] = curves(fitting.losses)
    manifest = {
        **_provenance(dataset, config, layers),
        "row_count": len(train),
        "metrics": evaluation["metrics"]["model"],
    }
    shape = (dataset.candidate_count, len(dataset.features))
    files |= {
        PREDICT_FILE: candidate_program(layers, HEADS, weights, *shape),
        WEIGHTS_FILE: save(dict(weights)),
        "evaluation.json": _json(evaluation),
        "model_card.md": click_card({**manifest, "model": model}, evaluation).encode(),
        "config.yaml": to_yaml(config).encode(),
    }
    reporter.progress(fitting.total, fitting.total, "done")
    return RunResult(files, manifest)


def require_known_items(rows: ClickRows, dataset: ClickManifest) -> None:
    """Refuse candidates that neither the session itself nor one before its block had.

    Raises:
        FailedPreconditionError: The message names the first item that came from later.
    """
    first = np.array([*dataset.first_sessions, -1])  # the last stands for places left free
    blocks = (*dataset.blocks, *([dataset.test] if dataset.test else ()))
    starts = np.array([block.first_session for block in blocks])
    known = starts[np.searchsorted(starts, rows.sessions, side="right") - 1]
    is_late = (first[rows.items] >= known[:, None]) & ~rows.is_own
    if is_late.any():
        row, place = np.argwhere(is_late)[0]
        item = dataset.items[rows.items[row, place]]
        raise FailedPreconditionError(
            f"item {item!r} is a candidate in session {rows.sessions[row]} but was first clicked "
            "on later: what is known of items knows the future; build the dataset again",
            reason="ITEM_FROM_LATER",
            item=item,
            session=int(rows.sessions[row]),
        )


def _of(rows: ClickRows, blocks: tuple[ClickBlock, ...]) -> ClickRows:
    """Rows of the sessions of blocks that follow one another."""
    first, end = blocks[0].first_session, blocks[-1].end_session
    return rows.rows((rows.sessions >= first) & (rows.sessions < end))


def _found(rows: ClickRows, blocks: tuple[ClickBlock, ...]) -> ClickRows:
    """Those of them whose answer is among the candidates: of others nothing can be learned."""
    first, end = blocks[0].first_session, blocks[-1].end_session
    is_here = (rows.sessions >= first) & (rows.sessions < end)
    return rows.rows(is_here & (rows.answers != NONE))


def _judged(
    scores: NumpyArray, rows: ClickRows, dataset: ClickManifest, config: ClickRunConfig
) -> dict[str, Any]:
    samples, seed = config.bootstrap_samples, config.seed
    return judge_clicks(scores, rows, dataset.rules, samples=samples, seed=seed)


def _lists(items: NumpyArray, rows: ClickRows, dataset: ClickManifest) -> bytes:
    """The lists as CSV: session, how many clicks came before, the items, best first."""
    assert dataset.test
    names = (*dataset.items, "")  # the last stands for places left free
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["session", "position", *(f"r{place}" for place in range(1, LISTED + 1))])
    for session, position, best in zip(rows.sessions, rows.positions, items, strict=True):
        called = dataset.test_sessions[session - dataset.test.first_session]
        writer.writerow([called, position, *(names[item] for item in best)])
    return out.getvalue().encode()


def _provenance(
    dataset: ClickManifest, config: ClickRunConfig, layers: LayerList
) -> dict[str, Any]:
    shape = (dataset.candidate_count, len(dataset.features))
    return {
        "kind": dataset.kind,
        "predictions": list(dataset.predictions),
        "dataset_hash": dataset.content_hash,
        "features": list(dataset.features),
        "candidate_count": dataset.candidate_count,
        "session_count": dataset.session_count,
        "item_count": len(dataset.items),
        "parameter_count": sum(layer.layout.size for layer in layers),
        "signature": candidate_signature(HEADS, *shape),
        "config": asdict(config),
        "jax_version": jax.__version__,
    }


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"
