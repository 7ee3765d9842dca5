"""A whole run over a table or texts as a function: a dataset in, the files of a version out."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import jax
import numpy as np
from jax import export
from safetensors.numpy import save

from services.training.engine import Arrays, EpochReport, Fitter
from services.training.models import LayerList
from services.training.runs.config import to_yaml
from services.training.runs.export import PREDICT_FILE, WEIGHTS_FILE, serialized
from services.training.runs.judged import JUDGED_FILE
from services.training.runs.kept import Fits, FreshFits
from services.training.runs.losses import Loss, curves
from services.training.runs.networks import Listener
from services.training.runs.result import RunResult
from services.training.runs.run import FINAL, Reporter
from services.training.runs.table_answer import predict_table
from services.training.runs.table_card import table_card
from services.training.runs.table_config import MOST_TOKENS, TableRunConfig, table_layers
from services.training.runs.table_inputs import require_fitted_on
from services.training.runs.table_judge import (
    answers,
    baselines,
    judge_table,
    judged_rows,
    require_apart,
)
from services.training.runs.table_members import (
    Reading,
    TableFitted,
    fit_table_members,
    objective,
)
from services.training.runs.table_reading import TableReading, fit_table_reading
from services.training.runs.text_reading import TextReading, fit_text_reading, require_read_on
from services.training.runs.timing import Sample
from shared.dataset.tables import TEST, TableDatasetReader, TableManifest, TableRows

NumpyArray = np.ndarray[Any, Any]

TEST_FILE = "test_predictions.csv"


def run_table(
    reader: TableDatasetReader,
    model: str,
    config: TableRunConfig,
    reporter: Reporter,
    fits: Fits | None = None,
) -> RunResult:
    """Judge by cross-validation, then fit to every row, and export.

    Args:
        reader: A dataset of a table.
        model: Name of the model without its collection.
        config: All choices of the run.
        reporter: Hears progress and losses.
        fits: Carries out the fits of networks.

    Raises:
        FailedPreconditionError: A fold was fitted on what it is judged on.
    """
    dataset, everything = reader.manifest, reader.rows()
    rows = everything.where(everything.folds != TEST)
    of_test = everything.where(everything.folds == TEST)
    fits = fits or FreshFits()
    judged_folds = range(config.folds_searched, len(dataset.fold_counts))
    is_judged = rows.folds >= config.folds_searched
    progress = _Progress(config, reporter, len(judged_folds) + 1)
    layers = table_layers(config, fit_reading(rows, dataset).size)
    fitter = Fitter(layers, objective, config.fit_config())

    def fitted(name: str, train: TableRows, reading: Reading) -> TableFitted:
        listener = Listener(progress.listen(name), reporter.pace)
        return fit_table_members(
            train, reading, layers, fitter, config, name=name, fits=fits, listener=listener
        )

    said: dict[str, Any] = {}
    for number in judged_folds:
        train, test = rows.where(rows.folds != number), rows.where(rows.folds == number)
        require_apart(train, test)
        reading = fit_reading(train, dataset)
        judged = fitted(f"fold-{number + 1}", train, reading)
        require_own(judged.reading, train, dataset)
        for name, each in {
            "model": answers(judged, test),
            **baselines(reading, train, test),
        }.items():
            said.setdefault(name, np.zeros(len(rows)))[rows.folds == number] = each
    evaluation = judge_table(
        {name: each[is_judged] for name, each in said.items()},
        rows.labels[is_judged],
        samples=config.bootstrap_samples,
        seed=config.seed,
    )

    reading = fit_reading(rows, dataset)
    last = fitted(FINAL, rows, reading)
    said_of_test = answers(last, of_test) if len(of_test) else np.zeros(0)
    if len(of_test):
        require_apart(rows, of_test)
        evaluation["test"] = judge_table(
            {"model": said_of_test, **baselines(reading, rows, of_test)},
            of_test.labels,
            samples=config.bootstrap_samples,
            seed=config.seed,
        )
    reporter.fitted(_sample(last, rows, config))
    progress.end("exporting")
    evaluation |= {"fold_count": len(judged_folds), "losses": curves(progress.losses)}
    manifest = {
        **_provenance(dataset, config, last),
        "metrics": evaluation["metrics"]["model"],
    }
    files = {
        PREDICT_FILE: _program(last, rows),
        WEIGHTS_FILE: save(dict(last.weights)),
        **last.reading.files,
        **_said(of_test, said_of_test),
        JUDGED_FILE: judged_rows(said["model"], rows, is_judged).content,
        "evaluation.json": _json(evaluation),
        "model_card.md": table_card({**manifest, "model": model}, evaluation).encode(),
        "config.yaml": to_yaml(config).encode(),
    }
    progress.end("done")
    return RunResult(files, manifest)


def fit_reading(rows: TableRows, dataset: TableManifest) -> TableReading | TextReading:
    """Vocabulary and scaling fitted on these rows and nothing else."""
    if dataset.of("text"):
        return fit_text_reading(rows)
    return fit_table_reading(rows, dataset.columns)


def require_own(reading: Reading, train: TableRows, dataset: TableManifest) -> None:
    """Refuse a vocabulary or scaling that rows beside the training rows have had a part in.

    Raises:
        FailedPreconditionError: Names the column or the word.
    """
    if isinstance(reading, TextReading):
        require_read_on(reading, train)
    elif isinstance(reading, TableReading):
        require_fitted_on(reading.scaling, train, dataset.columns)


class _Progress:
    """Counts epochs over all networks of all folds; one that stops early skips the rest."""

    def __init__(self, config: TableRunConfig, reporter: Reporter, folds: int) -> None:
        self._of_fold = config.members * config.epochs
        self._total = folds * self._of_fold
        self._epochs, self._reporter = config.epochs, reporter
        self._folds: list[str] = []
        self._losses: list[Loss] = []
        self._lock = threading.Lock()

    @property
    def losses(self) -> list[Loss]:
        """Losses by fold, member and epoch, whichever thread was first."""
        place = {name: number for number, name in enumerate(self._folds)}
        return sorted(self._losses, key=lambda loss: (place[loss.fold], loss.member, loss.epoch))

    def listen(self, fold: str) -> Callable[[int, EpochReport], None]:
        """What a fold's fit calls after each epoch of a network."""
        before = len(self._folds) * self._of_fold
        self._folds.append(fold)
        done: dict[int, int] = {}
        words = "fitting the final model" if fold == FINAL else f"fitting {fold.replace('-', ' ')}"
        self._reporter.progress(before, self._total, words)

        def hear(member: int, report: EpochReport) -> None:
            loss = Loss(fold, member, report.epoch, report.train_loss, report.validation_loss)
            with self._lock:
                self._losses.append(loss)
                self._reporter.epoch(loss, report)
                done[member] = report.epoch + 1
                self._reporter.progress(before + sum(done.values()), self._total, words)

        return hear

    def end(self, words: str) -> None:
        """All networks are fitted."""
        self._reporter.progress(self._total, self._total, words)


def _sample(fitted: TableFitted, rows: TableRows, config: TableRunConfig) -> Sample:
    few = rows.where(np.arange(min(len(rows), config.batch_size)))
    targets = {"label": few.labels.astype(np.float32)}
    return Sample(fitted.shape.layers, objective, Arrays(fitted.reading.network(few), targets))


def _said(rows: TableRows, said: NumpyArray) -> Mapping[str, bytes]:
    """What the model says of each row of the test files; no file where there are none."""
    if not len(rows):
        return {}
    lines = [f"{place},{each:.6f}" for place, each in zip(rows.places, said, strict=True)]
    return {TEST_FILE: "\n".join(["row,probability", *lines, ""]).encode()}


def _program(fitted: TableFitted, rows: TableRows) -> bytes:
    """The program for any number of rows, and of terms in a text."""
    (batch,) = export.symbolic_shape("b", constraints=["b >= 1"])
    if fitted.shape.is_text:
        batch, terms = export.symbolic_shape("b, t", constraints=["b >= 1", "t >= 1"])
    shape: Any = jax.ShapeDtypeStruct
    weights = {name: shape(value.shape, value.dtype) for name, value in fitted.weights.items()}
    inputs = {
        name: shape((batch, terms if name.startswith("term") else value.shape[1]), value.dtype)
        for name, value in fitted.reading.raw(rows.where(np.arange(1))).items()
    }
    return serialized(jax.jit(predict_table(fitted.shape)), weights, inputs)


def _provenance(
    dataset: TableManifest, config: TableRunConfig, fitted: TableFitted
) -> dict[str, Any]:
    layers: LayerList = fitted.shape.layers
    return {
        "kind": dataset.kind,
        "predictions": sorted(dataset.predictions),
        "dataset_hash": dataset.content_hash,
        "target": dataset.target,
        "positive": dataset.positive,
        "columns": [column.name for column in dataset.columns],
        "excluded": dict(dataset.excluded),
        "row_count": sum(count for count, _ in dataset.fold_counts),
        "test_count": dataset.test_count,
        "positive_count": sum(positive for _, positive in dataset.fold_counts),
        "stack": dict(fitted.stack),
        "best_epochs": list(fitted.best_epochs),
        "layers": [{"name": layer.name, "parameter_count": layer.layout.size} for layer in layers],
        "parameter_count": sum(layer.layout.size for layer in layers),
        "signature": _signature(dataset),
        "config": {**asdict(config), "model": dict(config.model)},
        "jax_version": jax.__version__,
    }


def _signature(dataset: TableManifest) -> Mapping[str, Any]:
    """What the program takes and gives, in words for the manifest."""

    def block(dtype: str, width: int | str) -> Mapping[str, Any]:
        return {"dtype": dtype, "shape": ["b", width]}

    if dataset.of("text"):
        inputs = {
            "tokens": block("int32", MOST_TOKENS),
            "terms": block("int32", "t"),
            "term_weights": block("float32", "t"),
        }
    else:
        inputs = {
            "numbers": block("float32", len(dataset.of("number", "flag"))),
            "words": block("int32", len(dataset.of("category"))),
        }
    outputs = {"probability": {"dtype": "float32", "shape": ["b"]}}
    return {"predict": {"inputs": inputs, "outputs": outputs}}


def _json(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
    return text.encode() + b"\n"
