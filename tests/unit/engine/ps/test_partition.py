"""Every number has one owner, and owners have equal shares."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.engine.optimizers import OptimizerConfig
from services.training.engine.ps.partition import Vector, partition, pieces_of, vectors_of
from services.training.engine.ps.schedule import Schedule
from services.training.engine.stages import stages_of
from services.training.models import MlpConfig, table
from tests.support.model_suite import HEADS

VECTORS = st.lists(st.tuples(st.integers(0, 5000), st.booleans()), min_size=1, max_size=12).map(
    lambda drawn: tuple(
        Vector(f"layer{number}", range(number, number + 1), size, False, is_whole)
        for number, (size, is_whole) in enumerate(drawn)
    )
)


@given(VECTORS, st.integers(1, 7))
def test_segments_cover_every_vector_once_and_wholes_stay_whole(vectors, owners):
    segments = partition(vectors, owners)
    for number, vector in enumerate(vectors):
        mine = [segment for segment in segments if segment.vector == number]
        assert mine[0].start == 0
        assert mine[-1].start + mine[-1].size == vector.size
        assert all(a.start + a.size == b.start for a, b in pairwise(mine))
        assert len(mine) == 1 or not vector.is_whole
        assert all(segment.start % 16 == 0 for segment in mine)
        assert all(0 <= segment.owner < owners for segment in mine)


@given(st.lists(st.integers(1000, 5000), min_size=1, max_size=12), st.integers(1, 5))
def test_owners_have_equal_shares_where_vectors_may_be_cut(sizes, owners):
    vectors = tuple(Vector(str(size), range(1), size, False, False) for size in sizes)
    loads = [0] * owners
    for segment in partition(vectors, owners):
        loads[segment.owner] += segment.size
    # A cut falls on a multiple of 16: each vector moves a share by less than that.
    assert max(loads) - min(loads) <= 2 * 16 * len(sizes)


@given(VECTORS, st.integers(1, 7))
def test_no_owner_has_more_than_its_share_and_the_largest_whole(vectors, owners):
    loads = [0] * owners
    for segment in partition(vectors, owners):
        loads[segment.owner] += segment.size
    total = sum(vector.size for vector in vectors)
    largest = max((vector.size for vector in vectors if vector.is_whole), default=0)
    assert max(loads) <= -(-total // owners) + largest + 16 * len(vectors)


@pytest.mark.parametrize(
    ("optimizer", "is_whole"),
    [
        (OptimizerConfig(clip_norm=None), False),
        (OptimizerConfig(clip_norm=1.0), True),
        (OptimizerConfig(kind="lamb", clip_norm=None), True),
    ],
)
def test_a_stage_with_layers_whose_norms_count_is_not_cut(optimizer, is_whole):
    layers = MlpConfig(width=8, blocks=1).build(table(4), HEADS)
    sizes = [layer.layout.size for layer in layers]
    vectors = vectors_of(layers, stages_of(layers, numbers=sizes[0] + sizes[1]), optimizer)
    assert [vector.name for vector in vectors] == ["stem+block0", "heads"]
    assert [vector.size for vector in vectors] == [sizes[0] + sizes[1], sizes[2]]
    assert {vector.is_whole for vector in vectors} == {is_whole}


@given(st.integers(0, 100), st.integers(0, 1000), st.integers(1, 300))
def test_pieces_cover_a_range_in_order(start, size, piece):
    pieces = pieces_of(start, size, piece)
    assert pieces[0].start == start
    assert sum(each.size for each in pieces) == size
    assert all(a.start + a.size == b.start for a, b in pairwise(pieces))
    assert all(each.size <= piece for each in pieces)


def test_a_piece_is_a_multiple_of_the_alignment_and_never_empty():
    assert Schedule("prio", 100).piece(4) == 16
    assert Schedule("prio", 1).piece(8) == 16
    assert Schedule("prio", 256 * 1024).piece(4) == 65536
