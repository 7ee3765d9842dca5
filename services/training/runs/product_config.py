"""What one run over candidate products is asked for, stored beside its model."""

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
from shared.config.product import ProductPrediction
from shared.errors import InvalidArgumentError

ANY, NEW = "any", "new"
"""What is answered: any product, or one that the user never ordered."""

HEADS = (ANY, NEW)


@dataclass(frozen=True)
class ProductRunConfig:
    """All choices of a run over candidate products.

    Args:
        seed: Seed of all randomness.
        model: Model type and its settings, as in a prediction file.
        instants: Training instants a fit learns from: the latest of those it may see.
        learning_rate: Highest rate of AdamW.
        weight_decay: Pull of matrices towards zero.
        batch_size: Users a step.
        epochs: Passes over the rows: few, so that who has little history stays near the rules.
        bootstrap_samples: Samples behind each standard error.
    """

    seed: int = 0
    model: Mapping[str, Any] = field(default_factory=lambda: {"type": "candidates"})
    instants: int = 6
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    batch_size: int = 64
    epochs: int = 4
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


def product_layers(config: ProductRunConfig, candidates: int, features: int) -> LayerList:
    """The layers of the chosen model for rows of so many candidates.

    Raises:
        InvalidArgumentError: The model is none of candidates.
    """
    fields = (
        Field("features", (candidates, features)),
        Field("is_own", (candidates,), "bool"),
        Field("rules", (candidates, len(HEADS))),
    )
    heads = tuple(HeadSpec(name, candidates) for name in HEADS)
    kind = config.model["type"]
    if kind != "candidates":
        raise InvalidArgumentError(
            f"model type {kind!r} does not score candidates; use candidates",
            reason="MODEL_NOT_FOR_PRODUCTS",
            type=kind,
        )
    return config.model_config().build(InputSpec(fields), heads)


def product_config_of(
    question: ProductPrediction, seed: int, bootstrap_samples: int
) -> ProductRunConfig:
    """The config of a run that answers this prediction file.

    Raises:
        DomainError: The model or one of its settings is unknown or not for products.
    """
    config = ProductRunConfig(
        seed=seed, model=dict(question.model), bootstrap_samples=bootstrap_samples
    )
    product_layers(config, 2, 1)
    return config
