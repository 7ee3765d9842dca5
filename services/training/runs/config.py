"""What one run is asked for, as a tree of values that is stored beside its model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import yaml

from services.training.engine import FitConfig, OptimizerConfig
from services.training.models import ModelConfig, parse_config
from services.training.runs import image_config
from services.training.runs.click_config import ClickRunConfig
from services.training.runs.image_config import ImageRunConfig
from services.training.runs.product_config import ProductRunConfig
from services.training.runs.table_config import TableRunConfig
from shared.dataset.clicks import KIND as CLICKS
from shared.dataset.images import KIND as IMAGES
from shared.dataset.products import KIND as PRODUCTS
from shared.dataset.tables import KIND as TABLE
from shared.errors import FailedPreconditionError, InvalidArgumentError

FORMAT_VERSION = 1
PRETRAINED = "pretrained"
"""Key of a model in a prediction file that is about its fit and not its shape."""

# For a few thousand rows of a few dozen features; a prediction file may say otherwise.
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "mlp": {"width": 32, "blocks": 2, "dropout": 0.3},
    "autoencoder": {"pretrained": True},
    **{type: {"width": 32, "dropout": 0.3} for type in ("lstm", "gru", "cnn", "transformer")},
}

_MANY_ROWS = 20_000


@dataclass(frozen=True)
class RunConfig:
    """All choices of a run.

    Args:
        seed: Seed of all randomness.
        model: Model type and its settings, as in a prediction file.
        members: Networks in the ensemble; each is fitted without one group of users, on which it
            stops early and is calibrated.
        half_life_days: Age at which a training row counts half, since shops change; 0 counts all
            rows the same.
        most_rows: Rows a member is fitted to; more are thinned, old ones first.
        learning_rate: Rate of AdamW.
        weight_decay: Pull of matrices towards zero.
        epochs: At most this many passes a member.
        patience: Epochs without a better loss on held-out users before stopping.
        bootstrap_samples: Samples behind each standard error.
        awaited: What is waited for: "order", "event" for any, or an event's name; empty where the
            spend in the horizon is asked for.
    """

    seed: int = 0
    model: Mapping[str, Any] = field(default_factory=lambda: {"type": "mlp"})
    members: int = 5
    half_life_days: float = 60.0
    most_rows: int = 40_000
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    epochs: int = 15
    patience: int = 3
    bootstrap_samples: int = 200
    awaited: str = ""

    def model_config(self) -> ModelConfig:
        """The model's own config; raises DomainError when the mapping is wrong."""
        values = dict(self._model)
        is_pretrained = values.pop(PRETRAINED, False)
        if not isinstance(is_pretrained, bool):
            raise InvalidArgumentError(
                f"model: {PRETRAINED} must be true or false, not {is_pretrained!r}",
                reason="MODEL_VALUE_INVALID",
                key=PRETRAINED,
            )
        return parse_config(values)

    @property
    def is_pretrained(self) -> bool:
        """Whether members start from what an encoder learned without any answer."""
        return bool(self._model.get(PRETRAINED, False))

    @property
    def _model(self) -> Mapping[str, Any]:
        return {**_DEFAULTS.get(str(self.model.get("type")), {}), **self.model}

    def fit_config(self, row_count: int) -> FitConfig:
        """How members are fitted to so many rows.

        Two batch sizes only: each is a program of its own, and compiling one takes longer than
        fitting a member to a small shop.
        """
        return FitConfig(
            batch_size=128 if row_count < _MANY_ROWS else 512,
            epochs=self.epochs,
            patience=self.patience,
            # A constant rate keeps the number of rows out of the program, so that all members
            # share one compilation; the mean over members does what a falling rate would.
            optimizer=OptimizerConfig(
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                schedule="constant",
                warmup_share=0.0,
            ),
        )


AnyRunConfig = RunConfig | ImageRunConfig | ProductRunConfig | TableRunConfig | ClickRunConfig


def to_yaml(config: AnyRunConfig) -> str:
    """Text of a config; equal configs have equal texts."""
    values = {"format_version": FORMAT_VERSION, **asdict(config), "model": dict(config.model)}
    if isinstance(config, ImageRunConfig):
        values["kind"] = IMAGES
    if isinstance(config, ProductRunConfig):
        values["kind"] = PRODUCTS
    if isinstance(config, TableRunConfig):
        values["kind"] = TABLE
    if isinstance(config, ClickRunConfig):
        values["kind"] = CLICKS
    return yaml.safe_dump(values, sort_keys=True)


def from_yaml(text: str) -> AnyRunConfig:
    """The config of a text that `to_yaml` wrote.

    Raises:
        FailedPreconditionError: It is of another format.
    """
    values = yaml.safe_load(text)
    version = values.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise FailedPreconditionError(
            f"this run's config has format_version {version}; this Oriel reads {FORMAT_VERSION}. "
            "Start the training again.",
            reason="RUN_FORMAT_UNSUPPORTED",
            format_version=version,
        )
    kind = values.pop("kind", None)
    if kind == IMAGES:
        return image_config.from_values(values)
    if kind == PRODUCTS:
        return ProductRunConfig(**values)
    if kind == TABLE:
        return TableRunConfig(**values)
    if kind == CLICKS:
        return ClickRunConfig(**values)
    return RunConfig(**values)
