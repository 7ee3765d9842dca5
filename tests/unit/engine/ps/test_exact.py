"""Whatever the number of nodes and the cut of the vectors: the bits are those of one device."""

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.training.engine import FitConfig, OptimizerConfig
from services.training.engine.layerwise import LayerPrograms
from services.training.engine.ps.job import Job, Sharing
from services.training.engine.ps.outcome import Crew
from services.training.engine.ps.run import train_in_threads
from services.training.engine.ps.schedule import Schedule
from services.training.engine.ps.tuning import CANDIDATES
from services.training.engine.rows import Arrays
from services.training.engine.stages import stages_of
from services.training.engine.standing import Standing
from services.training.models import MlpConfig, registered, table
from tests.support.model_suite import HEADS, loss, random_rows, subject
from tests.support.reference_training import reference

OPTIMIZERS = {
    "sgd": OptimizerConfig("sgd", learning_rate=1e-2, clip_norm=None),
    "adamw": OptimizerConfig("adamw", learning_rate=1e-2, clip_norm=None),
    "adamw clipped": OptimizerConfig("adamw", learning_rate=1e-2, clip_norm=0.5),
    "lamb": OptimizerConfig("lamb", learning_rate=1e-2, clip_norm=None),
}


def assert_same_bits(one, other):
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(np.asarray(left), np.asarray(right))


@pytest.mark.parametrize("name", sorted(registered()))
def test_every_model_ends_with_the_bits_of_one_device(name):
    model = subject(name, registered()[name])
    config = FitConfig(batch_size=6, micro_batches=3, epochs=1, optimizer=OPTIMIZERS["adamw"])
    rows = random_rows(model.inputs, 16, 0)
    sharing = Sharing(owners=2, schedule=Schedule("prio", 4096))
    job = Job(model.layers, loss, rows, config, 3, sharing)
    state, losses = reference(job)
    outcome = train_in_threads(job, job.start(), Crew(2, 2))
    assert_same_bits(outcome.state, state)
    assert list(outcome.losses) == losses


LAYERS = MlpConfig(width=16, blocks=1, dropout=0.2).build(table(6), HEADS)
PROGRAMS = {
    (kind, mode): LayerPrograms(LAYERS, loss, kind, stages_of(LAYERS) if mode == "fused" else None)
    for kind in ("float32", "float64")
    for mode in ("fused", "lean")
}


def programs(job):
    return PROGRAMS[job.config.precision, job.config.mode]


def small_job(optimizer, parts, sharing, **config):
    rows = random_rows(table(6), 20, 0)
    weights = np.random.default_rng(1).random(20).astype(np.float32)
    config = FitConfig(
        batch_size=12, micro_batches=parts, optimizer=OPTIMIZERS[optimizer], **config
    )
    return Job(LAYERS, loss, Arrays(rows.inputs, rows.targets, weights), config, 5, sharing)


@pytest.fixture(scope="module")
def expected():
    """The reference by optimizer, number of micro-batches and mode, computed once."""
    known = {}

    def state_and_losses(job):
        key = (job.config.optimizer, job.config.micro_batches, job.config.mode)
        if key not in known:
            known[key] = reference(job)
        return known[key]

    return state_and_losses


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    parts=st.sampled_from([1, 3]),
    owners=st.integers(1, 4),
    servers=st.integers(1, 3),
    workers=st.integers(1, 3),
    kind=st.sampled_from(["end", "wfbp", "prio"]),
    piece_bytes=st.sampled_from([64, 320, 1 << 18]),
    mode=st.sampled_from(["fused", "lean"]),
)
def test_any_division_of_the_work_gives_the_bits_of_one_device(
    expected, optimizer, parts, owners, servers, workers, kind, piece_bytes, mode
):
    sharing = Sharing(owners=owners, schedule=Schedule(kind, piece_bytes))
    job = small_job(optimizer, parts, sharing, epochs=2, mode=mode)
    state, losses = expected(job)
    outcome = train_in_threads(job, job.start(), Crew(workers, servers), programs=programs)
    assert_same_bits(outcome.state, state)
    assert list(outcome.losses) == losses


def test_in_float64_two_hundred_steps_agree_to_nine_digits():
    job = small_job("adamw", 2, Sharing(owners=2), epochs=100, precision="float64")
    assert job.total_steps == 200
    state, _ = reference(job)
    outcome = train_in_threads(job, job.start(), Crew(2, 2), programs=programs)
    for name, values in state.weights.items():
        assert outcome.state.weights[name].dtype == np.float64
        np.testing.assert_allclose(outcome.state.weights[name], values, rtol=1e-9, atol=1e-9)


def test_trying_schedules_changes_no_bit():
    job = small_job("adamw", 2, Sharing(owners=2, schedule=None), epochs=45)
    state, losses = reference(job)
    outcome = train_in_threads(job, job.start(), Crew(2, 2), programs=programs)
    assert_same_bits(outcome.state, state)
    assert list(outcome.losses) == losses
    assert outcome.schedule in CANDIDATES


def test_training_goes_on_from_a_state_with_another_number_of_nodes():
    whole = small_job("adamw", 2, Sharing(owners=3), epochs=2)
    state, losses = reference(whole)
    half, _ = reference(whole, epochs=1)
    outcome = train_in_threads(
        whole,
        Standing(half, half.weights, epoch=1),
        Crew(3, 3),
        programs=programs,
    )
    assert_same_bits(outcome.state, state)
    assert list(outcome.losses) == losses[whole.steps_per_epoch :]
