"""Stages: runs of consecutive layers that are computed, and travel, together."""

from dataclasses import dataclass
from itertools import pairwise

from services.training.models import LayerList

STAGE_NUMBERS = 64 << 10
"""A stage has at most so many parameters, unless one layer alone has more: 256 KiB of float32."""


@dataclass(frozen=True)
class Stage:
    """Consecutive layers that are computed together; their vectors are laid end to end.

    Args:
        layers: Their places in the list.
    """

    name: str
    layers: range


def single_layers(layers: LayerList) -> tuple[Stage, ...]:
    """Every layer a stage of its own, of its name."""
    return tuple(
        Stage(layer.name, range(number, number + 1)) for number, layer in enumerate(layers)
    )


def stages_of(layers: LayerList, numbers: int = STAGE_NUMBERS) -> tuple[Stage, ...]:
    """Stages of as many layers as have at most `numbers` parameters together.

    A program for each layer cannot fuse what its neighbours do, and passes on through memory what
    one program would keep; where gradients are small, sending them earlier does not pay for that.
    The stages depend on the shapes alone, because the bits depend on them.
    """
    starts, size = [0], 0
    for number, layer in enumerate(layers):
        size += layer.layout.size
        if size > numbers and number > starts[-1]:
            starts.append(number)
            size = layer.layout.size
    ranges = [range(*each) for each in pairwise([*starts, len(layers)])]
    return tuple(Stage("+".join(layers[number].name for number in r), r) for r in ranges)
