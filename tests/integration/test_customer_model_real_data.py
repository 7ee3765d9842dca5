"""The customer model on few real customers, and on too few; on a window before the last one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.quality import window
from benchmarks.quality_sets import DATA, shop
from services.training.evaluation.ranking import auc
from services.training.runs.answer import predict
from services.training.runs.attribution import attribute
from services.training.runs.config import RunConfig
from services.training.runs.judge import answers
from services.training.runs.members import fit_members
from services.training.runs.scaling import unscale
from shared.errors import FailedPreconditionError
from tests.support.without_reason import told_and_moved

FEW = RunConfig(seed=1, members=3, epochs=8)


@pytest.fixture(scope="module")
def cdnow():
    if not (DATA / "cdnow").exists():
        pytest.skip(f"{DATA / 'cdnow'} is not there")
    with shop("cdnow") as reader:
        train, test, limits, _ = window(reader, back=1)
        yield train, test, limits, reader.manifest.feature_names


def some(cdnow, count, seed):
    """The rows of so many customers, drawn by chance."""
    train, test, limits, _ = cdnow
    chosen = np.random.default_rng(seed).choice(np.unique(test.user_keys), count, replace=False)
    return (
        train.where(np.isin(train.user_keys, chosen)),
        test.where(np.isin(test.user_keys, chosen)),
        limits,
    )


@pytest.mark.data
def test_intervals_of_300_customers_cover_about_nine_in_ten(cdnow):
    held = []
    for seed in range(3):
        train, test, limits = some(cdnow, 300, seed)
        said = answers(fit_members(train, limits, FEW, horizon_days=90), test)
        held += said.intervals.hold(test.spend).tolist()
    assert 0.85 <= np.mean(held) <= 0.95


@pytest.mark.data
def test_30_customers_are_refused_by_name(cdnow):
    train, _, limits = some(cdnow, 30, 0)
    with pytest.raises(FailedPreconditionError, match=r"customers in .* are 30, at least 50"):
        fit_members(train, limits, FEW, horizon_days=90)


@pytest.mark.data
def test_without_its_strongest_reason_a_real_prediction_moves_as_was_said(cdnow):
    train, test, limits = some(cdnow, 1_000, 5)
    fitted = fit_members(train, limits, FEW, horizon_days=90)
    weights, scaling = dict(fitted.weights), fitted.scaling
    predicting = jax.jit(predict(fitted.network))

    def probability(features):
        said = predicting(weights, features, np.ones(len(features), bool))
        return np.asarray(said["active_probability"])

    said = jax.jit(attribute(fitted.network))(weights, test.features)
    usual = unscale(jnp.zeros((1, len(scaling.centre))), scaling.centre, scaling.spread)
    told, moved = told_and_moved(
        np.asarray(said["contributions"]),
        test.features,
        cdnow[3],
        np.asarray(usual)[0],
        probability,
    )
    assert len(told) > 900
    assert (np.sign(told) == np.sign(moved)).mean() > 0.95


@pytest.mark.data
def test_shuffled_spend_of_real_customers_leaves_nothing_to_learn(cdnow):
    train, test, limits = some(cdnow, 1_000, 7)
    random = np.random.default_rng(0)
    for rows in (train, test):
        random.shuffle(rows.spend)
    said = answers(fit_members(train, limits, FEW, horizon_days=90), test)
    buyers = int(test.is_active.sum())
    error = np.sqrt((len(test) + 1) / (12.0 * buyers * (len(test) - buyers)))
    assert abs(auc(test.is_active, said.active)(np.ones(len(test))) - 0.5) <= 3 * error
