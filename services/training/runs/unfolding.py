"""Sequences out of a matrix: the columns of one step side by side, the earliest step first."""

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np

from services.training.models import (
    HeadSpec,
    InputSpec,
    LayerList,
    ModelConfig,
    Step,
    reads_sequences,
    sequence,
    table,
)
from services.training.models.layer import Array, Carry
from services.training.runs.heads import HEADS
from services.training.runs.rows import Steps
from services.training.runs.scaling import Scaling


@dataclass(frozen=True)
class Columns:
    """Which scaled columns are a row's own, and which are of its steps.

    Attributes:
        own: Columns that are of no step, with their flags.
        steps: Columns of each step, the last of which says whether the step is missing.
    """

    own: tuple[int, ...]
    steps: Steps

    @property
    def inputs(self) -> InputSpec:
        """What a model is built for."""
        return sequence(len(self.steps), width=len(self.steps[0]), features=len(self.own))


def network_layers(
    model: ModelConfig, scaling: Scaling, steps: Steps, heads: tuple[HeadSpec, ...] = HEADS
) -> LayerList:
    """The layers of a network over the matrix of scaled columns.

    A model that reads no sequences is given the columns of the steps as any others.
    """
    if not steps or not reads_sequences(model):
        return model.build(table(scaling.width), heads)
    columns = columns_of(steps, scaling)
    return over_columns(model.build(columns.inputs, heads), columns)


def columns_of(steps: Steps, scaling: Scaling) -> Columns:
    """Where each raw column and its flag lies after scaling.

    A step that a user does not have is no gap in the sequence: it is there, with the mean of every
    number and a flag, and comes before those the user has. So an answer changes smoothly from one
    with the step to one without, and can be attributed.
    """
    flags = {raw: len(scaling.centre) + at for at, raw in enumerate(scaling.flagged)}
    of_steps = {column for step in steps for column in step}
    own = [column for column in range(len(scaling.centre)) if column not in of_steps]
    own += [flag for raw, flag in flags.items() if raw not in of_steps]
    return Columns(tuple(own), tuple((*step, flags[step[0]]) for step in steps))


def over_columns(layers: LayerList, columns: Columns) -> LayerList:
    """The same layers, the first of which takes the matrix of all columns."""
    first = layers[0]
    own, steps = np.array(columns.own, np.int32), np.array(columns.steps, np.int32)

    def apply(flat: Array, state: Array, carry: Carry, step: Step) -> tuple[Carry, Array]:
        matrix = carry["features"]
        unfolded = {
            "features": matrix[:, own],
            "steps": matrix[:, steps],
            "mask": jnp.ones((matrix.shape[0], len(steps)), bool),
        }
        return first.apply(flat, state, unfolded, step)

    return (replace(first, apply=apply), *layers[1:])
