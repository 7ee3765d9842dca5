"""What a fit is asked for and what it gives back, the same for every runtime."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import jax

from services.training.engine.layers import Precision, Weights
from services.training.engine.optimizers import OptimizerConfig

Array = jax.Array
Objective = Callable[[dict[str, Array], dict[str, Array], Array], Array]
"""(outputs, targets, row weights) -> loss of each row, already times its weight.

The objective weighs by itself because a row may count for one head and not for another.
"""


@dataclass(frozen=True)
class FitConfig:
    """How to train, whatever the model.

    Args:
        batch_size: Rows an optimizer step.
        micro_batches: Parts a batch is computed in; their gradients are summed in their order.
        epochs: At most this many passes over the rows.
        patience: Epochs without a better validation loss before stopping; 0 never stops early.
        min_improvement: Smallest fall of the validation loss that counts as better.
        precision: Type of the computation; weights and updates stay float32, but for float64,
            which is for proofs of exactness.
        mode: "fused" is one program a step, the fastest; "lean" applies each layer's gradient
            before the next is computed, so that only one is in memory; "spmd" computes the
            micro-batches on all devices of all processes at once.
    """

    batch_size: int = 256
    micro_batches: int = 1
    epochs: int = 50
    patience: int = 6
    min_improvement: float = 1e-5
    precision: Precision = "float32"
    mode: Literal["fused", "lean", "spmd"] = "fused"
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        """Refuse batches that do not divide."""
        if self.batch_size < 1 or self.micro_batches < 1 or self.epochs < 1:
            raise ValueError("batch_size, micro_batches and epochs are at least 1")
        if self.batch_size % self.micro_batches:
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of micro_batches {self.micro_batches}"
            )


@dataclass(frozen=True)
class EpochReport:
    """One epoch as it went; losses are means over row weights."""

    epoch: int
    train_loss: float
    validation_loss: float
    is_best: bool
    steps_per_second: float
    samples_per_second: float


@dataclass(frozen=True)
class Pace:
    """How fast a fit goes at the moment.

    Args:
        epoch: Epoch under way.
        step: Steps done in it.
    """

    epoch: int
    step: int
    steps_per_second: float
    samples_per_second: float


@dataclass(frozen=True)
class FitResult:
    """The best weights seen on the validation rows, and how they came about."""

    parameters: Weights
    history: tuple[EpochReport, ...]
    best_epoch: int
    steps_per_second: float
