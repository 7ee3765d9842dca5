"""What one run over clicks is asked for, stored beside its model."""

from dataclasses import dataclass

from services.training.models import LayerList
from services.training.runs.candidate_config import CandidateRunConfig, candidate_layers
from shared.config.clicks import ClickPrediction

HEADS = ("next",)
"""What is answered: how likely a candidate is the next click."""


@dataclass(frozen=True, kw_only=True)
class ClickRunConfig(CandidateRunConfig):
    """All choices of a run over clicks; a row is a click."""

    weight_decay: float = 1e-3
    batch_size: int = 128
    epochs: int = 6


def click_layers(config: ClickRunConfig, candidates: int, features: int) -> LayerList:
    """The layers of the chosen model for clicks of so many candidates.

    Raises:
        InvalidArgumentError: The model is none of candidates.
    """
    return candidate_layers(config, HEADS, candidates, features)


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
