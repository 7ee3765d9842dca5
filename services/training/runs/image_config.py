"""What one run over images is asked for, as a tree of values that is stored beside its model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.training.engine import FitConfig, OptimizerConfig
from services.training.models import (
    Field,
    HeadSpec,
    InputSpec,
    LayerList,
    ModelConfig,
    parse_config,
)
from shared.config.images import Augment, ImagePrediction, ImageTraining
from shared.errors import InvalidArgumentError

HEAD = "class"
"""What a model of images answers."""


@dataclass(frozen=True)
class ImageRunConfig:
    """All choices of a run over images.

    Args:
        seed: Seed of all randomness.
        model: Model type and its settings, as in a prediction file.
        augment: How training images are changed.
        training: How the model is fitted.
        bootstrap_samples: Samples behind each standard error.
    """

    seed: int = 0
    model: Mapping[str, Any] = field(default_factory=lambda: {"type": "lenet5"})
    augment: Augment = field(default_factory=Augment)
    training: ImageTraining = field(default_factory=ImageTraining)
    bootstrap_samples: int = 200

    def model_config(self) -> ModelConfig:
        """The model's own config; raises DomainError when the mapping is wrong."""
        return parse_config(self.model)

    def fit_config(self) -> FitConfig:
        """How the model is fitted."""
        chosen = self.training
        return FitConfig(
            batch_size=chosen.batch_size,
            epochs=chosen.epochs,
            patience=chosen.patience,
            optimizer=OptimizerConfig(
                kind=chosen.optimizer,
                learning_rate=chosen.learning_rate,
                weight_decay=chosen.weight_decay,
            ),
        )


def image_layers(
    config: ImageRunConfig, shape: tuple[int, int, int], class_count: int
) -> LayerList:
    """The layers of the chosen model for images of this shape.

    Raises:
        InvalidArgumentError: The model is none of images, or not for images of this size.
    """
    inputs = InputSpec((Field("images", shape, "uint8", 256),))
    try:
        return config.model_config().build(inputs, (HeadSpec(HEAD, class_count),))
    except KeyError as missing:
        kind = config.model["type"]
        raise InvalidArgumentError(
            f"model type {kind!r} reads {missing}, which images lack; use lenet5 or resnet50",
            reason="MODEL_NOT_FOR_IMAGES",
            type=kind,
        ) from missing


def image_config_of(question: ImagePrediction, seed: int, bootstrap_samples: int) -> ImageRunConfig:
    """The config of a run that answers this prediction file; where images lie is left out.

    Raises:
        DomainError: The model or one of its settings is unknown.
    """
    config = ImageRunConfig(
        seed, dict(question.model), question.augment, question.training, bootstrap_samples
    )
    config.model_config()
    return config


def from_values(values: Mapping[str, Any]) -> ImageRunConfig:
    """The config that these values, as `dataclasses.asdict` gives them, stand for."""
    return ImageRunConfig(
        **{
            **values,
            "augment": Augment(**values["augment"]),
            "training": ImageTraining(**values["training"]),
        }
    )
