"""Images as rows of a job, read from files by every node."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table2_ours import arrays
from services.training.engine.ps.orders import Material
from services.training.engine.ps.recipes import cross_entropy
from services.training.engine.rows import Arrays
from services.training.models import Field, HeadSpec, InputSpec, parse_config

LARGEST_SHIFT = 2


def images(
    model: Mapping[str, Any], folder: str, shape: Sequence[int], classes: int, count: int
) -> Material:
    """A registered model over so many training images of a folder."""
    inputs = InputSpec((Field("images", tuple(shape)),))
    layers = parse_config(model).build(inputs, (HeadSpec("kind", classes),))
    return Material(layers, cross_entropy, enough(arrays(Path(folder), "train"), count))


def enough(rows: Arrays, count: int) -> Arrays:
    """The first `count` rows; where there are fewer, then the same ones again, shifted a little."""
    place = np.arange(count) % len(rows)
    shown = rows.inputs["images"][place]
    shifts = np.random.default_rng(0).integers(-LARGEST_SHIFT, LARGEST_SHIFT + 1, (count, 2))
    shifts[: len(rows)] = 0
    for down, right in np.unique(shifts, axis=0):
        if down or right:
            mine = (shifts == (down, right)).all(axis=1)
            shown[mine] = _moved(shown[mine], int(down), int(right))
    return Arrays({"images": shown}, {"kind": rows.targets["kind"][place]})


def _moved(shown: np.ndarray[Any, Any], down: int, right: int) -> np.ndarray[Any, Any]:
    """Shift images, with nothing where they came from."""
    _, height, width, _ = shown.shape
    moved = np.zeros_like(shown)
    source = shown[:, max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)]
    top, left = max(down, 0), max(right, 0)
    moved[:, top : top + source.shape[1], left : left + source.shape[2]] = source
    return moved
