"""What is trained and how nodes share the work, the same on every node."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine.fitting import FitConfig, Objective
from services.training.engine.layers import Weights, init_weights
from services.training.engine.local import fitting_batch_size, numbers, widen
from services.training.engine.optimizers import optimizers
from services.training.engine.ps.partition import Segment, Vector, partition, vectors_of
from services.training.engine.ps.schedule import Schedule
from services.training.engine.ps.wire import Wire
from services.training.engine.rows import Arrays, plan_epoch
from services.training.engine.stages import Stage, single_layers, stages_of
from services.training.engine.standing import Standing
from services.training.engine.step import TrainState, init_state
from services.training.models import LayerList
from shared.errors import InvalidArgumentError

Order = Mapping[str, Any]
"""A job as JSON."""
Build = Callable[[Order], "Job"]


@dataclass(frozen=True)
class Sharing:
    """How nodes work together.

    Args:
        owners: Parts that the parameters are divided into, each kept by one server.
        staleness: Updates that the weights of a computation may lack: 0 lacks none and gives the
            bits of one device, None lets any number be missing and updates come in any order.
        wire: How numbers travel.
        schedule: When what is sent; None tries the candidates and keeps the fastest.
        has_seconds: Whether a second server follows every update of each owner, so that nothing
            is lost with a server; without, training goes back to the last checkpoint then.
    """

    owners: int = 1
    staleness: int | None = 0
    wire: Wire = Wire.FLOAT32
    schedule: Schedule | None = field(default_factory=Schedule)
    has_seconds: bool = True


@dataclass(frozen=True)
class Job:
    """One fit: every node that is given the same job knows the same steps and vectors.

    Args:
        rows: To train on.
        valid: To stop on; without, all epochs are done.
        learned: Vectors to start from instead of drawn ones.
    """

    layers: LayerList
    objective: Objective
    rows: Arrays
    config: FitConfig
    seed: int
    sharing: Sharing = Sharing()
    valid: Arrays | None = None
    learned: Callable[[], Weights] = dict

    def __post_init__(self) -> None:
        """Refuse to round what is asked for as a proof of exactness."""
        if self.config.precision == "float64" and self.sharing.wire is not Wire.FLOAT32:
            raise InvalidArgumentError(
                "sharing.wire must be float32 in a fit in float64, which is there to be exact",
                reason="WIRE_NOT_EXACT",
            )

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """Layers that are computed together; the memory of a `lean` fit is for one at a time."""
        return single_layers(self.layers) if self.config.mode == "lean" else stages_of(self.layers)

    @cached_property
    def vectors(self) -> tuple[Vector, ...]:
        """What servers keep."""
        return vectors_of(self.layers, self.stages, self.config.optimizer)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """Who owns which part of it."""
        return partition(self.vectors, self.sharing.owners)

    @cached_property
    def owners(self) -> tuple[int, ...]:
        """Owners that have something; a small model may not have enough for all."""
        return tuple(sorted({segment.owner for segment in self.segments}))

    @cached_property
    def batch_size(self) -> int:
        """Rows of a step."""
        return fitting_batch_size(self.config, len(self.rows))

    @cached_property
    def steps_per_epoch(self) -> int:
        """Steps in one pass over the rows."""
        return len(plan_epoch(self.rows, self.batch_size, self.seed, 0))

    @property
    def total_steps(self) -> int:
        """Steps of the whole fit, which learning-rate schedules run over."""
        return self.steps_per_epoch * self.config.epochs

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of what servers keep."""
        is_wide = self.config.precision == "float64"
        return np.dtype(np.float64 if is_wide else np.float32)

    def start(self) -> Standing:
        """Before the first step."""
        with numbers(self.config):
            weights = widen(init_weights(self.layers, self.seed, self.learned()), self.config)
            transforms = optimizers(self.config.optimizer, self.layers, self.total_steps)
            state: TrainState = jax.tree.map(jnp.asarray, init_state(weights, transforms))
            return Standing(state, state.weights)
