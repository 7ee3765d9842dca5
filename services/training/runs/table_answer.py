"""The answer for a row of a table or a text as one pure function: what is exported."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from services.training.engine import predict_fn
from services.training.models import LayerList
from services.training.runs.stacking import Bend, bent
from services.training.runs.table_config import HEAD
from services.training.runs.table_inputs import table_inputs, tree_inputs
from services.training.runs.text_reading import text_fields, text_line
from services.training.runs.trees import trees_logit

Array = jax.Array
NumpyArray = np.ndarray[Any, Any]
Weights = Mapping[str, Any]


@dataclass(frozen=True)
class TableShape:
    """What an ensemble is made of, beside its numbers.

    Attributes:
        layers: Of each network.
        members: Networks, and sets of trees.
        size: Inputs of a table's row; unused for texts.
        is_text: Whether rows are texts.
        tree_depths: Of each member's deepest tree; none for texts.
    """

    layers: LayerList
    members: int
    size: int
    is_text: bool
    tree_depths: tuple[int, ...]

    @property
    def voices(self) -> tuple[str, ...]:
        """What has a say in the answer, in the order of the stack's weights."""
        return ("network", "line", *(("trees",) if self.tree_depths else ()))


def pack_table(
    members: Sequence[Mapping[str, Any]],
    lines: NumpyArray,
    trees: Sequence[Mapping[str, NumpyArray]],
    reading: Mapping[str, NumpyArray],
    stack: NumpyArray,
    bend: Bend,
) -> Mapping[str, NumpyArray]:
    """All numbers of an ensemble by name.

    Args:
        members: Weights of each network.
        lines: Mean coefficients of the straight lines, the intercept last.
        trees: Arrays of each member's trees.
        reading: How cells become inputs.
        stack: A weight for each voice, then an intercept.
        bend: From the stack's logit to the calibrated one.
    """
    packed: dict[str, Any] = {
        **reading,
        "line/coefficients": lines,
        "stack/weights": stack,
        "calibration/knots": bend.knots,
        "calibration/slopes": bend.slopes,
        "calibration/start": [bend.start],
    }
    for number, weights in enumerate(members):
        packed |= {f"member{number}/{name}": value for name, value in weights.items()}
    for number, arrays in enumerate(trees):
        packed |= {f"trees{number}/{name}": value for name, value in arrays.items()}
    return {name: _narrow(np.asarray(value)) for name, value in sorted(packed.items())}


def predict_table(shape: TableShape) -> Callable[[Weights, Mapping[str, Array]], dict[str, Array]]:
    """The program (weights, inputs) -> the calibrated probability of the positive answer.

    Inputs are "numbers" and "words" of a table, or "tokens", "terms" and "term_weights" of texts.
    """
    network = predict_fn(shape.layers)

    def run(weights: Weights, inputs: Mapping[str, Array]) -> dict[str, Array]:
        coefficients = weights["line/coefficients"]
        if shape.is_text:
            fields = text_fields(inputs)
            line = text_line(coefficients, inputs)
        else:
            features = table_inputs(weights, inputs["numbers"], inputs["words"], shape.size)
            fields = {"features": features}
            line = features @ coefficients[:-1] + coefficients[-1]
        said = [network(part(weights, f"member{n}/"), fields) for n in range(shape.members)]
        voices = [sum(each[HEAD][:, 0] for each in said) / shape.members, line]
        if shape.tree_depths:
            branches = tree_inputs(weights, inputs["numbers"], inputs["words"])
            grown = [
                trees_logit(part(weights, f"trees{number}/"), branches, depth)
                for number, depth in enumerate(shape.tree_depths)
            ]
            voices.append(sum(grown[1:], grown[0]) / shape.members)
        stack = weights["stack/weights"]
        logit = jnp.stack(voices, axis=1) @ stack[:-1] + stack[-1]
        calibration = (weights[f"calibration/{each}"] for each in ("knots", "slopes", "start"))
        return {"probability": jax.nn.sigmoid(bent(logit, *calibration))}

    return run


def part(weights: Weights, prefix: str) -> dict[str, Any]:
    """The arrays whose names begin so, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if name.startswith(prefix)
    }


def _narrow(array: NumpyArray) -> NumpyArray:
    is_whole = np.issubdtype(array.dtype, np.integer)
    return array.astype(np.int32 if is_whole else np.float32)
