"""What one run over candidate products is asked for, stored beside its model."""

from dataclasses import dataclass

from services.training.models import LayerList
from services.training.runs.candidate_config import CandidateRunConfig, candidate_layers
from shared.config.product import ProductPrediction

ANY, NEW = "any", "new"
"""What is answered: any product, or one that the user never ordered."""

HEADS = (ANY, NEW)


@dataclass(frozen=True, kw_only=True)
class ProductRunConfig(CandidateRunConfig):
    """All choices of a run over candidate products; a row is a user at an instant.

    Few passes, so that who has little history stays near the rules.

    Args:
        instants: Training instants a fit learns from: the latest of those it may see.
    """

    instants: int = 6
    weight_decay: float = 1e-2
    batch_size: int = 64
    epochs: int = 4


def product_layers(config: ProductRunConfig, candidates: int, features: int) -> LayerList:
    """The layers of the chosen model for users of so many candidates.

    Raises:
        InvalidArgumentError: The model is none of candidates.
    """
    return candidate_layers(config, HEADS, candidates, features)


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
