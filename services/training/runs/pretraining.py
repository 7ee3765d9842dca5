"""What an encoder learns of users before it is told any answer, and members of an ensemble start
from.

A model of sequences learns to foretell a user's next order from those before it; another one learns
what the numbers were that are hidden from it. Its heads are then thrown away.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine import Arrays, Fitter
from services.training.engine.layers import Weights, state_key
from services.training.models import HeadSpec, reads_sequences
from services.training.runs.ensemble import EnsembleRows
from services.training.runs.rows import NumpyArray, Steps
from services.training.runs.scaling import Scaling, scale_rows
from services.training.runs.unfolding import network_layers

_HEAD = "foretold"

_HIDDEN_SHARE = 0.25


@dataclass(frozen=True)
class Lesson:
    """Rows that teach without an answer.

    Attributes:
        rows: Where each comes from.
        inputs: float32 scaled columns, as the encoder reads them.
        targets: float32 numbers to be foretold.
    """

    rows: NumpyArray
    inputs: NumpyArray
    targets: NumpyArray


def pretrained(made: EnsembleRows, member: int) -> Weights:
    """Vectors of all layers but the heads; none where the run is not pretrained or nothing teaches.

    Users of the member's own group have no part, so that they stay unseen; where there are more
    than two groups, another one says when to stop.
    """
    config = made.config
    if not config.is_pretrained:
        return {}
    model, count = config.model_config(), config.members
    rng = np.random.default_rng([made.seed(member), count])
    features = made.rows.features
    lesson = (
        next_steps(features, made.scaling, made.rows.steps, rng)
        if made.rows.steps and reads_sequences(model)
        else hidden_numbers(features, made.scaling, rng)
    )
    group = made.group[lesson.rows]
    judges = group == (member + 1) % count if count > 2 else np.zeros(len(group), bool)
    pupils = np.flatnonzero((group != member) & ~judges)
    if not len(pupils):
        return {}
    few = pupils[:: -(-len(pupils) // config.most_rows)]
    heads = (HeadSpec(_HEAD, lesson.targets.shape[1]),)
    layers = network_layers(model, made.scaling, made.rows.steps, heads)
    result = Fitter(layers, _squared_error, made.fit_config).fit(
        _arrays(lesson, few), _arrays(lesson, np.flatnonzero(judges)), seed=made.seed(member)
    )
    kept = {name for layer in layers[:-1] for name in (layer.name, state_key(layer.name))}
    return {name: vector for name, vector in result.parameters.items() if name in kept}


def next_steps(
    features: NumpyArray, scaling: Scaling, steps: Steps, rng: np.random.Generator
) -> Lesson:
    """Each user's steps up to some earlier one, and the numbers of the one that came next.

    A step's first column is how long ago it was, counted anew from the last step that is left; the
    users' own features are hidden, since they know of the later steps.

    Args:
        features: float32 [row, feature], not scaled; NaN is missing.
    """
    columns = np.array(steps, np.int64)
    values = features[:, columns]
    known = np.isfinite(values[:, :, 0]).sum(axis=1)
    rows = np.flatnonzero(known >= 2)
    values, place, length = values[rows], np.arange(len(rows)), len(steps)
    dropped = rng.integers(1, known[rows])
    source = np.arange(length)[None, :] - dropped[:, None]
    earlier = np.where((source >= 0)[:, :, None], values[place[:, None], source], np.nan)
    earlier[:, :, 0] -= earlier[:, -1:, 0]
    seen = np.full((len(rows), features.shape[1]), np.nan, np.float32)
    seen[:, columns] = earlier
    following = columns[length - dropped, 1:]
    targets = scale_rows(features[rows], scaling)[place[:, None], following]
    return Lesson(rows, scale_rows(seen, scaling), targets)


def hidden_numbers(features: NumpyArray, scaling: Scaling, rng: np.random.Generator) -> Lesson:
    """Rows some of whose numbers are hidden, and the whole rows."""
    whole = scale_rows(features, scaling)
    hidden = rng.random(whole.shape) < _HIDDEN_SHARE
    return Lesson(np.arange(len(whole)), np.where(hidden, np.float32(0), whole), whole)


def _arrays(lesson: Lesson, chosen: NumpyArray) -> Arrays:
    targets: dict[str, Any] = {_HEAD: lesson.targets[chosen]}
    return Arrays({"features": lesson.inputs[chosen]}, targets)


def _squared_error(
    outputs: dict[str, jax.Array], wanted: dict[str, jax.Array], weights: jax.Array
) -> jax.Array:
    """Loss per row."""
    return weights * jnp.square(outputs[_HEAD] - wanted[_HEAD]).mean(axis=1)
