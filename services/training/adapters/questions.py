"""Prediction files of a request to the choices of a run."""

from collections.abc import Sequence
from dataclasses import replace

from services.training.models import sequence, table
from services.training.runs.click_config import click_config_of
from services.training.runs.config import AnyRunConfig, RunConfig
from services.training.runs.heads import HEADS
from services.training.runs.image_config import image_config_of
from services.training.runs.product_config import product_config_of
from services.training.runs.table_config import table_config_of
from shared.config.clicks import parse_click_prediction
from shared.config.images import parse_image_prediction
from shared.config.prediction import PredictionFile, parse_prediction
from shared.config.product import parse_product_prediction
from shared.config.sources import SourceKind, source_of
from shared.config.table import parse_table_prediction
from shared.errors import InvalidArgumentError
from shared.features import select, step_columns


def config_of(prediction_files: Sequence[str], seed: int, usual: RunConfig) -> AnyRunConfig:
    """The config of a run that answers these files with one model; the rest is as usual.

    Raises:
        InvalidArgumentError: There is no file, one is wrong, or they ask for different models.
    """
    _require_seed(seed)
    kind = _kind(prediction_files)
    if kind == "images":
        images = parse_image_prediction(_alone(prediction_files, kind))
        return image_config_of(images, seed, usual.bootstrap_samples)
    if kind == "table":
        rows = parse_table_prediction(_alone(prediction_files, kind))
        return table_config_of(rows, seed, usual.bootstrap_samples)
    if kind == "sessions":
        clicks = parse_click_prediction(_alone(prediction_files, kind))
        return click_config_of(clicks, seed, usual.bootstrap_samples)
    if kind == "products":
        products = parse_product_prediction(_alone(prediction_files, kind))
        return product_config_of(products, seed, usual.bootstrap_samples)
    files = _parse_files(prediction_files)
    first = files[0]
    for other in files[1:]:
        if other.target.awaited != first.target.awaited:
            raise InvalidArgumentError(
                f"prediction files {first.name} and {other.name} ask for different things that one "
                "model does not answer; start a run for each",
                reason="PREDICTION_FILES_DIFFER",
                field="target",
            )
        if dict(other.model) != dict(first.model):
            raise InvalidArgumentError(
                f"prediction files {first.name} and {other.name} name different models; one run "
                "trains one model: make `model` equal or start a run for each",
                reason="MODELS_DIFFER",
                first=first.name,
                other=other.name,
            )
    config = replace(usual, seed=seed, model=dict(first.model), awaited=first.target.awaited)
    _require_readable(config, first.features)
    return config


def _require_readable(config: RunConfig, groups: Sequence[str]) -> None:
    """Refuse a wrong setting, or a model of other inputs, now and not in the worker."""
    has_steps = step_columns([feature.name for feature in select(groups)]) != ()
    inputs = sequence(1, width=1, features=1) if has_steps else table(1)
    try:
        config.model_config().build(inputs, HEADS)
    except KeyError as missing:
        if missing.args == ("mask",):
            raise InvalidArgumentError(
                f"model type {config.model['type']!r} reads sequences; add 'sequence' to features, "
                "or use mlp or dcn",
                reason="MODEL_NEEDS_SEQUENCES",
                type=config.model["type"],
            ) from missing
        raise InvalidArgumentError(
            f"model type {config.model['type']!r} reads {missing}, which features lack; use mlp",
            reason="MODEL_NOT_FOR_TABLES",
            type=config.model["type"],
        ) from missing


def names_of(prediction_files: Sequence[str]) -> list[str]:
    """The names of the predictions that are asked for."""
    kind = _kind(prediction_files)
    if kind == "images":
        return [parse_image_prediction(_alone(prediction_files, kind)).name]
    if kind == "table":
        return [parse_table_prediction(_alone(prediction_files, kind)).name]
    if kind == "sessions":
        return [parse_click_prediction(_alone(prediction_files, kind)).name]
    if kind == "products":
        return [parse_product_prediction(_alone(prediction_files, kind)).name]
    return [file.name for file in _parse_files(prediction_files)]


def _require_seed(seed: int) -> None:
    if not 0 <= seed < 2**31:
        raise InvalidArgumentError(
            f"seed {seed} must lie between 0 and {2**31 - 1}", reason="SEED_INVALID", seed=seed
        )


def _kind(prediction_files: Sequence[str]) -> SourceKind:
    """What the files ask about; a file about users has no say beside one that names a source."""
    kinds = map(source_of, prediction_files)
    return next((kind for kind in kinds if kind != "users"), "users")


def _alone(prediction_files: Sequence[str], kind: SourceKind) -> str:
    if len(prediction_files) != 1:
        raise InvalidArgumentError(
            f"prediction_files: a file about {'a table' if kind == 'table' else kind} stands "
            "alone; start a run for each",
            reason="PREDICTION_FILES_DIFFER",
        )
    return prediction_files[0]


def _parse_files(prediction_files: Sequence[str]) -> list[PredictionFile]:
    """The files read strictly; at least one."""
    if not prediction_files:
        raise InvalidArgumentError(
            "prediction_files is empty; pass the text of at least one prediction file",
            reason="PREDICTION_FILES_EMPTY",
        )
    return [parse_prediction(text) for text in prediction_files]
