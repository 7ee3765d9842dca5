"""Encoders learn of users without any answer, and never from what they are to foretell."""

from dataclasses import replace

import numpy as np
import pytest

from services.training.adapters.questions import config_of
from services.training.engine import init_weights
from services.training.evaluation.ranking import auc
from services.training.runs.answer import member_outputs
from services.training.runs.config import RunConfig
from services.training.runs.ensemble import EnsembleRows
from services.training.runs.members import fit_members
from services.training.runs.pretraining import hidden_numbers, next_steps, pretrained
from services.training.runs.rows import Rows
from services.training.runs.scaling import fit_scaling, scale_rows
from shared.config.prediction import shipped_text
from shared.errors import InvalidArgumentError

STEPS = ((5, 6), (3, 4), (1, 2))
GRU = RunConfig(members=3, epochs=4, model={"type": "gru", "width": 6, "pretrained": True})
CODE = replace(GRU, model={"type": "autoencoder", "code": 3, "width": 8})


@pytest.fixture(scope="module")
def rows():
    """Orders grow from one to the next, and who spent little last comes back."""
    rng = np.random.default_rng(0)
    count = 900
    spent = rng.exponential(10.0, count)
    features = np.zeros((count, 7), np.float32)
    for place, (days, gross) in enumerate(reversed(STEPS)):
        features[:, days] = 10.0 * (place + 1)
        features[:, gross] = spent / 2.0**place
    features[::3, 5:] = np.nan
    active = rng.random(count) < np.where(spent < 7.0, 0.9, 0.1)
    return Rows(
        np.arange(count, dtype=np.uint64),
        np.zeros(count, np.int64),
        np.ones(count, bool),
        features,
        np.where(active, rng.exponential(30.0, count) + 1.0, 0.0),
        STEPS,
    )


def test_earlier_orders_are_shown_as_they_stood_and_the_next_one_is_asked():
    features = np.array([[1, 10, 100, 30, 300, 70, 700]], np.float32)
    scaling = fit_scaling(features, STEPS)
    cut = {int(s): next_steps(features, scaling, STEPS, np.random.default_rng(s)) for s in range(9)}
    seen = {tuple(each.inputs[0].tolist()): each.targets[0].tolist() for each in cut.values()}
    nan = np.nan
    for shown, asked in (
        ([nan, 0, 300, 40, 700, nan, nan], 100),
        ([nan, 0, 700, nan, nan, nan, nan], 300),
    ):
        whole = scale_rows(np.array([shown], np.float32), scaling)[0].tolist()
        wanted = scale_rows(np.array([[0, 0, asked, 0, 0, 0, 0]], np.float32), scaling)[0, 2]
        assert seen.pop(tuple(whole)) == [wanted]
    assert not seen


def test_who_ordered_once_teaches_nothing_of_what_comes_next():
    features = np.array([[1, 10, 100, np.nan, np.nan, np.nan, np.nan]] * 3, np.float32)
    lesson = next_steps(features, fit_scaling(features, STEPS), STEPS, np.random.default_rng(0))
    assert len(lesson.rows) == 0


def test_some_numbers_are_hidden_and_all_are_asked(rows):
    scaling = fit_scaling(rows.features, STEPS)
    lesson = hidden_numbers(rows.features, scaling, np.random.default_rng(0))
    np.testing.assert_array_equal(lesson.targets, scale_rows(rows.features, scaling))
    changed = lesson.inputs != lesson.targets
    assert (lesson.inputs[changed] == 0).all()
    assert 0.1 < changed[lesson.targets != 0].mean() < 0.4


@pytest.mark.parametrize("config", [GRU, CODE], ids=["next order", "hidden numbers"])
def test_a_member_learns_nothing_of_users_it_is_judged_on(rows, config):
    made = EnsembleRows(rows, config)
    others = rows.features.copy()
    others[made.group == 1] *= 3.0
    again = EnsembleRows(replace(rows, features=others), config)
    vars(again)["scaling"] = made.scaling
    once, same = pretrained(made, 1), pretrained(again, 1)
    assert set(once) < set(init_weights(made.layers, 0))
    assert "heads" not in once
    for name, vector in once.items():
        np.testing.assert_array_equal(same[name], vector)
    other = pretrained(again, 2)
    assert any(not np.array_equal(other[name], pretrained(made, 2)[name]) for name in other)


@pytest.mark.parametrize("config", [GRU, CODE], ids=["gru", "autoencoder"])
def test_a_pretrained_network_answers(rows, config):
    config = replace(config, epochs=8, learning_rate=1e-2)
    fitted = fit_members(rows, (20.0, 60.0), config, horizon_days=30)
    member = {
        name.removeprefix("member0/"): value
        for name, value in fitted.weights.items()
        if name.startswith("member0/")
    }
    run = member_outputs(fitted.network.layers, fitted.weights["spend/scale"])
    said = run(member, scale_rows(rows.features, fitted.scaling))["active"][:, 0]
    assert auc(rows.is_active, np.asarray(said))(np.ones(len(rows))) > 0.8


def test_a_fit_starts_from_what_was_learned(rows):
    layers = EnsembleRows(rows, CODE).layers
    code = np.arange(layers[-2].layout.size, dtype=np.float32)
    start = init_weights(layers, 0, {"code": code})
    np.testing.assert_array_equal(start["code"], code)
    np.testing.assert_array_equal(start["stem"], init_weights(layers, 0)["stem"])
    with pytest.raises(ValueError, match="no layer of this model is called 'cod'"):
        init_weights(layers, 0, {"cod": code})


def test_nothing_is_learned_beforehand_unless_it_is_asked_for(rows):
    plain = replace(GRU, model={"type": "gru", "width": 6})
    assert pretrained(EnsembleRows(rows, plain), 0) == {}


def test_a_file_says_true_or_false():
    text = shipped_text("churn_90d").replace("type: mlp", "type: mlp, pretrained: yes please")
    with pytest.raises(InvalidArgumentError, match="pretrained must be true or false"):
        config_of([text], 0, RunConfig())
    assert config_of([text.replace("yes please", "true")], 0, RunConfig()).is_pretrained
