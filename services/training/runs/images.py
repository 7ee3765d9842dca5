"""A whole run over images as a function: a dataset in, files and manifest of a version out."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import jax
import numpy as np
from jax import export
from safetensors.numpy import save

from services.training.engine import Arrays, EpochReport, FitResult, Pace, fit
from services.training.engine.standing import StandingStore
from services.training.evaluation.pixels import pixel_regression, rows_fitted
from services.training.models import LayerList
from services.training.runs.config import to_yaml
from services.training.runs.export import PREDICT_FILE, WEIGHTS_FILE, serialized
from services.training.runs.image_answer import (
    TEMPERATURE,
    answers,
    fit_temperature,
    objective,
    predict_images,
)
from services.training.runs.image_card import image_card
from services.training.runs.image_config import ImageRunConfig, image_layers
from services.training.runs.image_judge import judge_images, judged_rows
from services.training.runs.image_rows import as_arrays
from services.training.runs.judged import JUDGED_FILE, Judgement
from services.training.runs.kept import Fits, FreshFits, Work
from services.training.runs.losses import Loss, curves
from services.training.runs.result import RunResult
from services.training.runs.run import FINAL, Reporter
from services.training.runs.timing import Sample
from shared.dataset.images import PARTS, ImageDatasetReader, ImageManifest, ImageRows

Weights = Mapping[str, Any]


def run_images(
    reader: ImageDatasetReader,
    model: str,
    config: ImageRunConfig,
    reporter: Reporter,
    fits: Fits | None = None,
) -> RunResult:
    """Fit on the training images, calibrate on the validation images, judge on the test images.

    Args:
        reader: A dataset of images.
        model: Name of the model without its collection.
        config: All choices of the run.
        reporter: Hears progress and losses.
        fits: Carries out the fit.

    Raises:
        InvalidArgumentError: The model is not for these images, or its loss became infinite.
    """
    dataset = reader.manifest
    total = config.training.epochs
    layers = image_layers(config, dataset.shape, len(dataset.classes))
    reporter.progress(0, total, "reading the images")
    train, valid, test = (reader.part(name) for name in PARTS)
    losses: list[Loss] = []

    def hear(report: EpochReport) -> None:
        losses.append(Loss(FINAL, 0, report.epoch, report.train_loss, report.validation_loss))
        reporter.epoch(losses[-1], report)
        reporter.progress(report.epoch + 1, total, "fitting the model")

    fitted = (fits or FreshFits()).fit(
        FINAL, _fit(layers, train, valid, config, hear, reporter.pace), hear
    )
    few = slice(0, config.training.batch_size)
    sample = Arrays({"images": train.images[few]}, {"label": train.labels[few]})
    reporter.fitted(Sample(layers, objective, sample))
    weights = _calibrated(layers, fitted, valid)
    reporter.progress(total, total, "judging on images it has not seen")
    judgement = _judge(layers, weights, train, valid, test, dataset, config)
    evaluation = {
        **judgement.evaluation,
        "parts": {part: dataset.part_count(part) for part in PARTS},
        "losses": curves(losses),
    }
    reporter.progress(total, total, "exporting")
    manifest = {
        **_provenance(dataset, config, layers),
        "best_epoch": fitted.best_epoch,
        "temperature": float(weights[TEMPERATURE][0]),
        "baseline_rows": rows_fitted(train.images),
        "metrics": evaluation["metrics"]["model"],
    }
    card = image_card({**manifest, "model": model}, evaluation)
    files = {
        PREDICT_FILE: _program(layers, weights, dataset.shape),
        WEIGHTS_FILE: save(dict(weights)),
        JUDGED_FILE: judgement.rows.content,
        "evaluation.json": _json(evaluation),
        "model_card.md": card.encode(),
        "config.yaml": to_yaml(config).encode(),
    }
    reporter.progress(total, total, "done")
    return RunResult(files, manifest)


def _fit(
    layers: LayerList,
    train: ImageRows,
    valid: ImageRows,
    config: ImageRunConfig,
    on_epoch: Callable[[EpochReport], None],
    on_pace: Callable[[Pace], None],
) -> Work:
    def work(checkpoints: StandingStore | None) -> FitResult:
        return fit(
            layers,
            objective,
            *as_arrays(train, valid, config),
            config.fit_config(),
            seed=config.seed,
            on_epoch=on_epoch,
            on_pace=on_pace,
            checkpoints=checkpoints,
        )

    return work


def _calibrated(layers: LayerList, fitted: FitResult, valid: ImageRows) -> Weights:
    weights = {name: np.asarray(value) for name, value in fitted.parameters.items()}
    weights[TEMPERATURE] = np.ones(1, np.float32)
    said = answers(layers, weights, valid.images)
    temperature = np.array([fit_temperature(said, valid.labels)], np.float32)
    return dict(sorted({**weights, TEMPERATURE: temperature}.items()))


def _judge(
    layers: LayerList,
    weights: Weights,
    train: ImageRows,
    valid: ImageRows,
    test: ImageRows,
    dataset: ImageManifest,
    config: ImageRunConfig,
) -> Judgement:
    said = {
        "model": answers(layers, weights, test.images),
        "pixel_regression": pixel_regression(
            (train.images, train.labels),
            (valid.images, valid.labels),
            test.images,
            len(dataset.classes),
        ),
    }
    evaluation = judge_images(
        said, test.labels, dataset.classes, samples=config.bootstrap_samples, seed=config.seed
    )
    return Judgement(evaluation, judged_rows(said["model"], test.images, test.labels))


def _program(layers: LayerList, weights: Weights, image_shape: tuple[int, int, int]) -> bytes:
    (batch,) = export.symbolic_shape("b", constraints=["b >= 1"])
    shape: Any = jax.ShapeDtypeStruct
    kinds = {name: shape(value.shape, value.dtype) for name, value in weights.items()}
    images = shape((batch, *image_shape), np.uint8)
    return serialized(jax.jit(predict_images(layers)), kinds, images)


def _provenance(
    dataset: ImageManifest, config: ImageRunConfig, layers: LayerList
) -> dict[str, Any]:
    counts = [{"name": layer.name, "parameter_count": layer.layout.size} for layer in layers]
    return {
        "kind": dataset.kind,
        "predictions": sorted(dataset.predictions),
        "dataset_hash": dataset.content_hash,
        "image_shape": list(dataset.shape),
        "classes": list(dataset.classes),
        "parts": {part: dataset.part_count(part) for part in PARTS},
        "layers": counts,
        "parameter_count": sum(layer.layout.size for layer in layers),
        "signature": {
            "predict": {
                "inputs": {"images": {"dtype": "uint8", "shape": ["b", *dataset.shape]}},
                "outputs": {
                    "class_probabilities": {
                        "dtype": "float32",
                        "shape": ["b", len(dataset.classes)],
                    }
                },
            }
        },
        "config": asdict(config),
        "jax_version": jax.__version__,
    }


def _json(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
    return text.encode() + b"\n"
