"""Who owns what: the vectors that servers keep, and each server's segments of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.training.engine.layers import state_key
from services.training.engine.optimizers import OptimizerConfig, acts_by_element
from services.training.engine.stages import Stage
from services.training.models import LayerList

ALIGNMENT = 16
"""Segments start at multiples of this many numbers, so that their memory can stay aligned."""


@dataclass(frozen=True)
class Vector:
    """One flat vector kept by servers: the parameters of a stage's layers, or a layer's state.

    Args:
        name: The stage's, or the state's key in the weights.
        layers: Places of its layers in the list.
        is_state: Whether it is moved towards what batches showed, instead of by an optimizer.
        is_whole: Whether it must be updated in one piece, by one owner.
    """

    name: str
    layers: range
    size: int
    is_state: bool
    is_whole: bool


@dataclass(frozen=True)
class Segment:
    """Numbers `start` up to `start + size` of a vector, and the number of their owner."""

    vector: int
    start: int
    size: int
    owner: int


@dataclass(frozen=True)
class Piece:
    """A part of a vector that travels as one message."""

    start: int
    size: int


def vectors_of(
    layers: LayerList, stages: Sequence[Stage], optimizer: OptimizerConfig
) -> tuple[Vector, ...]:
    """The parameters of a stage and then the states of its layers, first stage first.

    A norm over a layer decides the step of each of its numbers in clipping and in LAMB; then its
    stage has one owner, because sums of parts would not have the bits of the sum of the whole.
    """
    is_whole = not acts_by_element(optimizer)
    vectors = []
    for stage in stages:
        size = sum(layers[number].layout.size for number in stage.layers)
        vectors.append(Vector(stage.name, stage.layers, size, False, is_whole))
        for number in stage.layers:
            name, size = state_key(layers[number].name), layers[number].state.size
            if size:
                vectors.append(Vector(name, range(number, number + 1), size, True, True))
    return tuple(vectors)


def partition(vectors: tuple[Vector, ...], owners: int) -> tuple[Segment, ...]:
    """Segments in the order of vectors; every owner has as near to an equal share as wholes allow.

    Whole vectors go, largest first, to the owner with least. Every other vector is divided among
    the owners by the room that then is left in each, so that all of them work on every layer.

    >>> flat = [
    ...     Vector("a", range(1), 64, False, True), Vector("b", range(1, 2), 192, False, False)
    ... ]
    >>> [(s.vector, s.start, s.size, s.owner) for s in partition(tuple(flat), 2)]
    [(0, 0, 64, 0), (1, 0, 64, 0), (1, 64, 128, 1)]
    """
    loads = [0] * owners
    segments = []
    by_size = sorted(range(len(vectors)), key=lambda number: -vectors[number].size)
    for number in by_size:
        if vectors[number].is_whole:
            owner = min(range(owners), key=loads.__getitem__)
            loads[owner] += vectors[number].size
            segments.append(Segment(number, 0, vectors[number].size, owner))
    fair = -(-sum(vector.size for vector in vectors) // owners)
    rooms = [max(fair - load, 0) for load in loads]
    for number, vector in enumerate(vectors):
        if not vector.is_whole:
            segments += _divided(number, vector.size, rooms)
    return tuple(sorted(segments, key=lambda segment: (segment.vector, segment.start)))


def pieces_of(start: int, size: int, piece: int) -> tuple[Piece, ...]:
    """A range cut into pieces of `piece` numbers; the last may be shorter, one there always is.

    >>> pieces_of(10, 5, 2)
    (Piece(start=10, size=2), Piece(start=12, size=2), Piece(start=14, size=1))
    """
    end = start + size
    starts = range(start, max(end, start + 1), piece)
    return tuple(Piece(at, min(piece, end - at)) for at in starts)


def _divided(number: int, size: int, rooms: list[int]) -> list[Segment]:
    total, before, start = max(sum(rooms), 1), 0, 0
    segments = []
    for owner, room in enumerate(rooms):
        before += room
        is_last = owner == len(rooms) - 1
        end = size if is_last else size * before // total // ALIGNMENT * ALIGNMENT
        if end > start:
            segments.append(Segment(number, start, end - start, owner))
            start = end
    return segments or [Segment(number, 0, size, 0)]
