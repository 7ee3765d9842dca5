"""What runs over candidates have in common: how they are fitted, and a model's layers."""

from collections.abc import Mapping, Sequence
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
from shared.errors import InvalidArgumentError


@dataclass(frozen=True, kw_only=True)
class CandidateRunConfig:
    """All choices of a run over candidates.

    Args:
        seed: Seed of all randomness.
        model: Model type and its settings, as in a prediction file.
        learning_rate: Highest rate of AdamW.
        weight_decay: Pull of matrices towards zero.
        batch_size: Rows a step.
        epochs: Passes over the rows.
        bootstrap_samples: Samples behind each standard error.
    """

    seed: int = 0
    model: Mapping[str, Any] = field(default_factory=lambda: {"type": "candidates"})
    learning_rate: float = 3e-3
    weight_decay: float
    batch_size: int
    epochs: int
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


def candidate_layers(
    config: CandidateRunConfig, heads: Sequence[str], candidates: int, features: int
) -> LayerList:
    """The layers of the chosen model for rows of so many candidates.

    Raises:
        InvalidArgumentError: The model is none of candidates.
    """
    fields = (
        Field("features", (candidates, features)),
        Field("is_own", (candidates,), "bool"),
        Field("rules", (candidates, len(heads))),
    )
    kind = config.model["type"]
    if kind != "candidates":
        raise InvalidArgumentError(
            f"model type {kind!r} does not score candidates; use candidates",
            reason="MODEL_NOT_FOR_CANDIDATES",
            type=kind,
        )
    specs = tuple(HeadSpec(name, candidates) for name in heads)
    return config.model_config().build(InputSpec(fields), specs)
