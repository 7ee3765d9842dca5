"""Every mode and every form on the wire learns what one device learns."""

import jax
import numpy as np
import pytest

from services.training.engine import Arrays, FitConfig, OptimizerConfig, predict_fn
from services.training.engine.layerwise import LayerPrograms
from services.training.engine.ps.job import Job, Sharing
from services.training.engine.ps.outcome import Crew
from services.training.engine.ps.run import train_in_threads
from services.training.engine.ps.schedule import Schedule
from services.training.engine.ps.wire import Wire
from services.training.engine.stages import stages_of
from services.training.models import HeadSpec, MlpConfig, table

LAYERS = MlpConfig(width=16, blocks=1).build(table(5), (HeadSpec("active", 1),))
CONFIG = FitConfig(
    batch_size=32,
    micro_batches=2,
    epochs=6,
    optimizer=OptimizerConfig(learning_rate=5e-3, clip_norm=None),
)


def log_loss(outputs, targets, weights):
    logit = outputs["active"][:, 0]
    return (jax.nn.softplus(logit) - targets["active"] * logit) * weights


def rows(count, seed):
    """The label is the sign of a plain linear score."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((count, 5)).astype(np.float32)
    labels = features @ np.array([2.0, -1.0, 0.5, 0.0, 0.0], np.float32) > 0
    return Arrays({"features": features}, {"active": labels.astype(np.float32)})


PROGRAMS = LayerPrograms(LAYERS, log_loss, "float32", stages_of(LAYERS))


def accuracy(sharing):
    job = Job(LAYERS, log_loss, rows(600, 0), CONFIG, 7, sharing)
    outcome = train_in_threads(job, job.start(), Crew(3, 2), programs=lambda _: PROGRAMS)
    assert len(outcome.losses) == job.total_steps
    assert int(outcome.state.step) == job.total_steps
    test = rows(1000, 2)
    logits = predict_fn(LAYERS)(outcome.state.weights, dict(test.inputs))["active"][:, 0]
    return float(((logits > 0) == (test.targets["active"] > 0.5)).mean())


@pytest.mark.parametrize("wire", list(Wire))
@pytest.mark.parametrize("staleness", [0, 2, None])
def test_it_learns(wire, staleness):
    schedule = Schedule("prio", 1024)
    assert accuracy(Sharing(2, staleness, wire, schedule)) > 0.93
