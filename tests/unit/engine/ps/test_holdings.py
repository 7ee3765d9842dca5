"""What a server keeps goes the same way whatever the pieces and whoever comes first."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.training.engine import FitConfig, OptimizerConfig
from services.training.engine.optimizers import layer_optimizer
from services.training.engine.ps.holdings import Holdings
from services.training.engine.ps.job import Job, Sharing
from services.training.engine.ps.partition import pieces_of
from services.training.engine.ps.states import Kept, divided, joined
from services.training.engine.step import update_layer
from services.training.models import MlpConfig, table
from tests.support.model_suite import HEADS, loss, random_rows

LAYERS = MlpConfig(width=8, blocks=1).build(table(4), HEADS)
STEPS, PARTS, VECTOR = 4, 2, 1
SIZE = LAYERS[VECTOR].layout.size


def job(staleness=0, clip_norm=None, mode="lean"):
    config = FitConfig(
        batch_size=4,
        micro_batches=PARTS,
        epochs=STEPS,
        mode=mode,
        optimizer=OptimizerConfig(clip_norm=clip_norm),
    )
    return Job(LAYERS, loss, random_rows(table(4), 4, 0), config, 0, Sharing(1, staleness))


def loaded(of):
    holdings = Holdings(of)
    for _, kept in divided(of, of.start().state):
        holdings.load(kept)
    return holdings


def gradient(step, part):
    values = np.random.default_rng([step, part]).standard_normal(SIZE)
    return values.astype(np.float32)


def expected(of):
    """The vector after every step, updated in one piece."""
    transform = layer_optimizer(of.config.optimizer, LAYERS[VECTOR], of.total_steps)
    update = jax.jit(lambda *arguments: update_layer(transform, *arguments))
    values = of.start().state.weights[LAYERS[VECTOR].name]
    state, history = transform.init(values), [np.asarray(values)]
    for step in range(STEPS):
        values, state = update(values, state, gradient(step, 0) + gradient(step, 1))
        history.append(np.asarray(values))
    return history


@pytest.fixture(scope="module")
def history():
    return {clip: expected(job(clip_norm=clip)) for clip in (None, 0.5)}


def contributions(step, piece):
    return [(step, part, each) for part in range(PARTS) for each in pieces_of(0, SIZE, piece)]


def give(holdings, step, part, piece):
    numbers = gradient(step, part)[piece.start : piece.start + piece.size]
    return holdings.add(VECTOR, piece.start, step, part, numbers)


@settings(max_examples=20, deadline=None)
@given(data=st.data(), clip=st.sampled_from([None, 0.5]))
def test_pieces_may_change_from_step_to_step_and_come_twice_in_any_order(history, data, clip):
    holdings = loaded(job(clip_norm=clip))
    for step in range(STEPS):
        wanted = contributions(step, data.draw(st.sampled_from([16, 48, 112, SIZE])))
        again = data.draw(st.lists(st.sampled_from(wanted), max_size=5))
        seen = np.full(SIZE, np.nan, np.float32)
        for each in data.draw(st.permutations([*wanted, *again])):
            for kept in (update.kept for update in give(holdings, *each)):
                assert kept.version == step + 1
                seen[kept.start :][: len(kept.values)] = kept.values
        np.testing.assert_array_equal(seen, history[clip][step + 1])


def test_steps_are_applied_in_order_where_staleness_is_bounded(history):
    holdings = loaded(job(staleness=3))
    (piece,) = pieces_of(0, SIZE, SIZE)
    assert [give(holdings, step, part, piece) for step in (2, 1) for part in (0, 1)] == [[]] * 4
    assert give(holdings, 0, 0, piece) == []
    updates = give(holdings, 0, 1, piece)
    assert [update.kept.version for update in updates] == [1, 2, 3]
    np.testing.assert_array_equal(updates[-1].kept.values, history[None][3])


def test_without_a_bound_a_step_is_applied_when_it_is_complete_and_only_once():
    holdings = loaded(job(staleness=None))
    (piece,) = pieces_of(0, SIZE, SIZE)
    versions = [
        [update.kept.version for update in give(holdings, step, part, piece)]
        for step, part in [(2, 0), (2, 1), (2, 0), (2, 1), (0, 1), (0, 0), (0, 0)]
    ]
    assert versions == [[], [1], [], [], [], [2], []]


def test_it_is_settled_up_to_the_first_step_that_some_range_lacks():
    of = job(staleness=None)
    holdings = loaded(of)
    for step in (1, 0):
        assert holdings.settled == 0
        for vector, kept in enumerate(of.vectors):
            for part in range(PARTS):
                holdings.add(vector, 0, step, part, np.zeros(kept.size, np.float32))
    assert holdings.settled == 2


def test_the_values_of_one_update_ago_are_kept_for_who_must_compute_again(history):
    holdings = loaded(job())
    for each in contributions(0, 48):
        give(holdings, *each)
    values = [kept for kept in holdings.values() if kept.vector == VECTOR]
    for version in (0, 1):
        pieces = sorted((k for k in values if k.version == version), key=lambda k: k.start)
        joined_values = np.concatenate([kept.values for kept in pieces])
        np.testing.assert_array_equal(joined_values, history[None][version])


@pytest.mark.parametrize("mode", ["lean", "fused"])
def test_a_state_divided_and_joined_is_the_same_state(mode):
    of = job(mode=mode)
    fresh = of.start().state
    again = joined(of, fresh, [kept for _, kept in divided(of, fresh)], 0)
    assert jax.tree.structure(again) == jax.tree.structure(fresh)
    for one, other in zip(jax.tree.leaves(again), jax.tree.leaves(fresh), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_pieces_that_change_within_a_step_are_refused():
    holdings = loaded(job())
    holdings.add(VECTOR, 0, 0, 0, np.zeros(16, np.float32))
    with pytest.raises(RuntimeError, match="changed their size"):
        holdings.add(VECTOR, 0, 0, 1, np.zeros(32, np.float32))


def test_a_range_that_is_loaded_replaces_what_it_overlaps():
    holdings = loaded(job())
    state = next(kept for kept in holdings.states() if kept.vector == VECTOR)
    newer = Kept(VECTOR, 0, 7, np.ones(SIZE, np.float32), state.leaves)
    holdings.load(newer)
    (kept,) = [kept for kept in holdings.values() if kept.vector == VECTOR]
    assert kept.version == 7
    assert jnp.all(kept.values == 1)


def test_values_go_out_in_the_pieces_that_gradients_came_in_though_the_last_was_smaller():
    of = job(clip_norm=0.5)
    holdings = loaded(of)
    pieces = pieces_of(0, SIZE, 112)
    assert pieces[-1].size < 112
    (update,) = [
        update
        for part in range(PARTS)
        for piece in pieces
        for update in give(holdings, 0, part, piece)
    ]
    assert update.piece == 112
