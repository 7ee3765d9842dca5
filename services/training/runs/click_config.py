"""What one run over clicks is asked for, stored beside its model."""

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
from shared.config.clicks import ClickPrediction
from shared.errors import InvalidArgumentError

HEADS = ("next",)
"""What is answered: how likely a candidate is the next click."""


@dataclass(frozen=True)
class ClickRunConfig:
    """All choices of a run over clicks.

    Args:
        seed: Seed of all randomness.
        model: Model type and its settings, as in a prediction file.
        learning_rate: Highest rate of AdamW.
        weight_decay: Pull of matrices towards zero.
        batch_size: Clicks a step.
        epochs: Passes over the clicks.
        bootstrap_samples: Samples behind each standard error.
    """

    seed: int = 0
    model: Mapping[str, Any] = field(default_factory=lambda: {"type": "candidates"})
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    batch_size: int = 128
    epochs: int = 6
    bootstrap_samples: int = 200

    def model_config(self) -> ModelConfig:
        """The model's own config; raises DomainError when the mapping is wrong."""
        return parse_config(self.model)

    def fit_config(self) -> FitConfig:
        """How the model is fitted."""
        return FitConfig(
            batch_size=self.batch_size,
            epochs=self.epochs,
            patience=0,
            optimizer=OptimizerConfig(
                learning_rate=self.learning_rate, weight_decay=self.weight_decay
            ),
        )


def click_layers(config: ClickRunConfig, candidates: int, features: int) -> LayerList:
    """The layers of the chosen model for rows of so many candidates.

    Raises:
        InvalidArgumentError: The model is none of candidates.
    """
    fields = (
        Field("features", (candidates, features)),
        Field("is_own", (candidates,), "bool"),
        Field("rules", (candidates, len(HEADS))),
    )
    kind = config.model["type"]
    if kind != "candidates":
        raise InvalidArgumentError(
            f"model type {kind!r} does not score candidates; use candidates",
            reason="MODEL_NOT_FOR_CLICKS",
            type=kind,
        )
    heads = tuple(HeadSpec(name, candidates) for name in HEADS)
    return config.model_config().build(InputSpec(fields), heads)


def click_config_of(question: ClickPrediction, seed: int, bootstrap_samples: int) -> ClickRunConfig:
    """The config of a run that answers this prediction file.

    Raises:
        DomainError: The model or one of its settings is unknown or not for clicks.
    """
    config = ClickRunConfig(
        seed=seed, model=dict(question.model), bootstrap_samples=bootstrap_samples
    )
    click_layers(config, 2, 1)
    return config
