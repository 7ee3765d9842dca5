"""Prediction files of a request to the choices of a run."""

from collections.abc import Sequence
from dataclasses import replace

from services.training.models import table
from services.training.runs.config import RunConfig
from services.training.runs.heads import HEADS
from shared.config.prediction import PredictionFile, parse_prediction
from shared.errors import InvalidArgumentError


def config_of(prediction_files: Sequence[str], seed: int, usual: RunConfig) -> RunConfig:
    """The config of a run that answers these files with one model; the rest is as usual.

    Raises:
        InvalidArgumentError: There is no file, one is wrong, or they ask for different models.
    """
    files = parse_files(prediction_files)
    first = files[0]
    for other in files[1:]:
        if dict(other.model) != dict(first.model):
            raise InvalidArgumentError(
                f"prediction files {first.name} and {other.name} name different models; one run "
                "trains one model: make `model` equal or start a run for each",
                reason="MODELS_DIFFER",
                first=first.name,
                other=other.name,
            )
    if not 0 <= seed < 2**31:
        raise InvalidArgumentError(
            f"seed {seed} must lie between 0 and {2**31 - 1}", reason="SEED_INVALID", seed=seed
        )
    config = replace(usual, seed=seed, model=dict(first.model))
    _require_table(config)
    return config


def _require_table(config: RunConfig) -> None:
    """Refuse a wrong setting, or a model of images or texts, now and not in the worker."""
    try:
        config.model_config().build(table(1), HEADS)
    except KeyError as missing:
        raise InvalidArgumentError(
            f"model type {config.model['type']!r} reads {missing}, which features lack; use mlp",
            reason="MODEL_NOT_FOR_TABLES",
            type=config.model["type"],
        ) from missing


def parse_files(prediction_files: Sequence[str]) -> list[PredictionFile]:
    """The files read strictly; at least one."""
    if not prediction_files:
        raise InvalidArgumentError(
            "prediction_files is empty; pass the text of at least one prediction file",
            reason="PREDICTION_FILES_EMPTY",
        )
    return [parse_prediction(text) for text in prediction_files]
