"""What is kept on the way is what one device would keep, and can be gone on from."""

from dataclasses import replace

import jax
import numpy as np

from services.training.engine import FitConfig, Fitter, OptimizerConfig
from services.training.engine.layerwise import LayerPrograms
from services.training.engine.ps.job import Job, Sharing
from services.training.engine.ps.outcome import Crew
from services.training.engine.ps.run import train_in_threads
from services.training.engine.stages import stages_of
from services.training.models import MlpConfig, table
from tests.support.model_suite import HEADS, loss, random_rows
from tests.support.reference_training import reference

LAYERS = MlpConfig(width=16, blocks=1).build(table(6), HEADS)
CONFIG = FitConfig(
    batch_size=12, micro_batches=2, epochs=3, optimizer=OptimizerConfig(clip_norm=None)
)
JOB = Job(LAYERS, loss, random_rows(table(6), 36, 0), CONFIG, 5, Sharing(owners=2))
PROGRAMS = LayerPrograms(LAYERS, loss, "float32", stages_of(LAYERS))


class Memory:
    """Keeps every standing; one is due after each step, as often as it can be."""

    def __init__(self, first=None):
        self.kept = [first] if first else []

    def is_due(self):
        return True

    def save(self, standing):
        self.kept.append(standing)

    def latest(self, fresh):
        return self.kept[-1] if self.kept else None

    def wait(self):
        pass


def train(store, crew):
    return train_in_threads(JOB, JOB.start(), crew, programs=lambda _: PROGRAMS, checkpoints=store)


def assert_same_bits(one, other):
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(np.asarray(left), np.asarray(right))


def test_keeping_standings_changes_no_bit_and_each_can_be_gone_on_from():
    state, losses = reference(JOB)
    store = Memory()
    outcome = train(store, Crew(2, 2))
    assert_same_bits(outcome.state, state)
    assert len(store.kept) > 2
    for standing in (store.kept[0], store.kept[len(store.kept) // 2]):
        again = train(Memory(standing), Crew(1, 1))
        assert_same_bits(again.state, state)
        assert list(again.losses) == losses[int(standing.state.step) :]


def test_the_last_standing_has_every_epoch_with_its_loss():
    _, losses = reference(JOB)
    store = Memory()
    train(store, Crew(2, 2))
    last, per_epoch = store.kept[-1], JOB.steps_per_epoch
    assert (last.epoch, last.losses) == (3, ())
    for report in last.history:
        epoch = losses[report.epoch * per_epoch :][:per_epoch]
        assert report.train_loss == np.mean(epoch)
    assert_same_bits(last.best, last.state.weights)


def test_rows_to_stop_on_end_it_where_one_device_ends_it():
    config = replace(CONFIG, epochs=40, patience=1, mode="lean")
    valid = random_rows(table(6), 24, 1)
    job = replace(JOB, config=config, valid=valid)
    alone = Fitter(LAYERS, loss, config).fit(JOB.rows, valid, seed=JOB.seed)
    outcome = train_in_threads(job, job.start(), Crew(2, 2))
    result = outcome.standing.result()
    assert len(result.history) < 40
    assert result.best_epoch == alone.best_epoch < len(result.history) - 1
    assert [report.validation_loss for report in result.history] == [
        report.validation_loss for report in alone.history
    ]
    for name, values in alone.parameters.items():
        np.testing.assert_array_equal(np.asarray(result.parameters[name]), np.asarray(values))
