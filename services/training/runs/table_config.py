"""What one run over a table or texts is asked for, as values that are stored beside its model."""

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
    table,
)
from shared.config.table import TablePrediction
from shared.errors import InvalidArgumentError

HEAD = "answer"
"""What a network says of a row: one logit."""

MOST_TOKENS = 128
"""Words of a text that a network reads, from its start on."""

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "mlp": {"width": 32, "blocks": 2, "dropout": 0.3},
    "dcn": {"width": 32, "blocks": 1, "dropout": 0.3},
}


@dataclass(frozen=True)
class TableRunConfig:
    """All choices of a run over a table or texts.

    Args:
        seed: Seed of all randomness.
        model: Network type and its settings, as in a prediction file.
        is_text: Whether rows are texts.
        members: Networks of an ensemble, and sets of trees; each is fitted without one fifth of
            the rows, on which it is judged, and so are five straight lines.
        learning_rate: Rate of AdamW.
        weight_decay: Pull of matrices towards zero.
        epochs: At most this many passes a network.
        patience: Epochs without a better loss on rows left out before stopping.
        batch_size: Rows an optimizer step.
        bootstrap_samples: Samples behind each standard error.
        folds_searched: So many of the first folds were used to choose settings and are not judged.
    """

    seed: int = 0
    model: Mapping[str, Any] = field(default_factory=lambda: {"type": "mlp"})
    is_text: bool = False
    members: int = 5
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    epochs: int = 15
    patience: int = 3
    batch_size: int = 128
    bootstrap_samples: int = 200
    folds_searched: int = 0

    def model_config(self) -> ModelConfig:
        """The network's own config; raises DomainError when the mapping is wrong."""
        return parse_config({**_DEFAULTS.get(str(self.model.get("type")), {}), **self.model})

    def fit_config(self) -> FitConfig:
        """How each network is fitted."""
        return FitConfig(
            batch_size=self.batch_size,
            epochs=self.epochs,
            patience=self.patience,
            # As for users: a constant rate lets all networks share one compiled program.
            optimizer=OptimizerConfig(
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                schedule="constant",
                warmup_share=0.0,
            ),
        )


def table_layers(config: TableRunConfig, size: int) -> LayerList:
    """The layers of each network.

    Args:
        config: All choices of the run.
        size: Numbers a row is read as, or words that are told apart in a text.

    Raises:
        InvalidArgumentError: The model reads something else.
    """
    tokens = Field("tokens", (MOST_TOKENS,), "int32", size)
    texts = InputSpec((tokens, Field("mask", (MOST_TOKENS,), "bool")))
    inputs = texts if config.is_text else table(size)
    try:
        return config.model_config().build(inputs, (HeadSpec(HEAD, 1),))
    except KeyError as missing:
        kind = config.model["type"]
        use = "text_lstm" if config.is_text else "mlp or dcn"
        raise InvalidArgumentError(
            f"model type {kind!r} reads {missing}, which is not there; use {use}",
            reason="MODEL_NOT_FOR_TABLES",
            type=kind,
        ) from missing


def table_config_of(question: TablePrediction, seed: int, bootstrap_samples: int) -> TableRunConfig:
    """The config of a run that answers this prediction file; where its rows lie is left out.

    Raises:
        DomainError: The model or one of its settings is unknown, or it is not for such rows.
    """
    model, is_text = dict(question.model), bool(question.texts)
    if is_text:
        config = TableRunConfig(
            seed,
            model,
            is_text,
            members=2,
            epochs=4,
            patience=1,
            batch_size=128,
            bootstrap_samples=bootstrap_samples,
        )
    else:
        config = TableRunConfig(seed, model, bootstrap_samples=bootstrap_samples)
    table_layers(config, 2)
    return config
