"""Sums over micro-batches do not depend on who came first, nor on what came twice."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.training.engine.ps.sums import OrderedSum


@given(st.data(), st.integers(1, 4), st.integers(1, 3))
def test_any_order_of_pieces_with_repetitions_gives_the_bits_of_the_ordered_sum(data, parts, cuts):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    given_by = [rng.standard_normal(12).astype(np.float32) * 10.0**part for part in range(parts)]
    size = 12 // cuts
    pieces = [(part, start) for part in range(parts) for start in range(0, 12, size)]
    arrivals = data.draw(st.permutations(pieces + data.draw(st.lists(st.sampled_from(pieces)))))
    total = OrderedSum(100, 12, parts)
    for number, (part, start) in enumerate(arrivals):
        is_complete = set(arrivals[:number]) == set(pieces)
        assert (total.total is not None) == is_complete
        total.add(part, 100 + start, given_by[part][start : start + size])
    expected = given_by[0]
    for each in given_by[1:]:
        expected = expected + each
    np.testing.assert_array_equal(total.total, expected)


def test_what_was_given_is_not_changed():
    pieces = [np.ones(4, np.float32) for _ in range(3)]
    total = OrderedSum(0, 4, 3)
    for part, piece in enumerate(pieces):
        total.add(part, 0, piece)
    assert total.total.tolist() == [3.0] * 4
    assert all(piece.tolist() == [1.0] * 4 for piece in pieces)


def test_an_empty_range_is_complete_when_every_micro_batch_has_said_so():
    total = OrderedSum(0, 0, 2)
    total.add(0, 0, np.zeros(0, np.float32))
    assert total.total is None
    total.add(1, 0, np.zeros(0, np.float32))
    assert total.total.size == 0
