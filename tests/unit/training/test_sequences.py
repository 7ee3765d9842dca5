"""A model of sequences answers, and its reasons add up, from columns of the matrix."""

import jax
import numpy as np
import pytest

from services.training.adapters.questions import config_of
from services.training.evaluation.ranking import auc
from services.training.runs.answer import member_outputs
from services.training.runs.attribution import attribute
from services.training.runs.config import RunConfig
from services.training.runs.export import completeness_error
from services.training.runs.members import fit_members
from services.training.runs.rows import Rows
from services.training.runs.scaling import scale_rows
from shared.config.prediction import shipped_text
from shared.errors import InvalidArgumentError

STEPS = ((5, 6), (3, 4), (1, 2))
CONFIG = RunConfig(members=2, epochs=6, learning_rate=1e-2, model={"type": "gru", "width": 6})


@pytest.fixture(scope="module")
def rows():
    """Who spent more in the last order than in the one before comes back."""
    rng = np.random.default_rng(0)
    features = rng.exponential(10.0, (1_200, 7)).astype(np.float32)
    features[::3, 5:] = np.nan
    odds = 3.0 * np.sign(features[:, 2] - features[:, 4])
    active = rng.random(1_200) < 1.0 / (1.0 + np.exp(-odds))
    return Rows(
        np.arange(1_200, dtype=np.uint64),
        np.zeros(1_200, np.int64),
        np.ones(1_200, bool),
        features,
        np.where(active, rng.exponential(30.0, 1_200) + 1.0, 0.0),
        STEPS,
    )


@pytest.fixture(scope="module")
def fitted(rows):
    return fit_members(rows, (20.0, 60.0), CONFIG, horizon_days=30)


def test_its_network_learns_what_lies_in_the_steps(fitted, rows):
    member = {
        name.removeprefix("member0/"): value
        for name, value in fitted.weights.items()
        if name.startswith("member0/")
    }
    run = member_outputs(fitted.network.layers, fitted.weights["spend/scale"])
    said = run(member, scale_rows(rows.features, fitted.scaling))["active"][:, 0]
    assert auc(rows.is_active, np.asarray(said))(np.ones(len(rows))) > 0.8


def test_contributions_of_steps_add_up_to_the_logit(fitted, rows):
    said = jax.jit(attribute(fitted.network))(dict(fitted.weights), rows.features[:64])
    assert completeness_error(said) < 1e-4
    assert said["contributions"].shape == (64, 7)


def test_a_model_of_sequences_needs_the_sequence():
    text = shipped_text("churn_90d").replace("type: mlp", "type: lstm")
    with pytest.raises(InvalidArgumentError, match="add 'sequence' to features"):
        config_of([text], 0, RunConfig())
    config_of([text.replace("trends]", "trends, sequence]")], 0, RunConfig())
