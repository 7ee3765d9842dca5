"""The local runtime trains, stops, restores and repeats itself."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from services.training.engine import Arrays, FitConfig, OptimizerConfig, fit, predict_fn
from services.training.models import HeadSpec, MlpConfig, table
from shared.errors import CancelledError, InvalidArgumentError

HEADS = (HeadSpec("active", 1),)
CONFIG = FitConfig(batch_size=64, epochs=8, optimizer=OptimizerConfig(learning_rate=5e-3))


def log_loss(outputs, targets, weights):
    logit = outputs["active"][:, 0]
    return (jax.nn.softplus(logit) - targets["active"] * logit) * weights


def rows(count, seed):
    """The label is the sign of a plain linear score, flipped for one row in twenty."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((count, 5)).astype(np.float32)
    score = features @ np.array([2.0, -1.0, 0.5, 0.0, 0.0], np.float32)
    labels = (score > 0) ^ (rng.random(count) < 0.05)
    return Arrays({"features": features}, {"active": labels.astype(np.float32)})


@pytest.fixture(scope="module")
def layers():
    return MlpConfig(width=16, blocks=1).build(table(5), HEADS)


@pytest.fixture(scope="module")
def result(layers):
    return fit(layers, log_loss, rows(500, 0), rows(200, 1), CONFIG, seed=7)


def test_it_learns_what_the_rows_hold(layers, result):
    test = rows(1000, 2)
    logits = predict_fn(layers)(result.parameters, dict(test.inputs))["active"][:, 0]
    assert float(((logits > 0) == (test.targets["active"] > 0.5)).mean()) > 0.9


def test_the_same_seed_gives_the_same_bytes(layers, result):
    again = fit(layers, log_loss, rows(500, 0), rows(200, 1), CONFIG, seed=7)
    assert [r.validation_loss for r in again.history] == [r.validation_loss for r in result.history]
    for name, flat in result.parameters.items():
        assert np.asarray(flat).tobytes() == np.asarray(again.parameters[name]).tobytes()


def test_another_seed_gives_other_weights(layers, result):
    config = replace(CONFIG, epochs=1)
    other = fit(layers, log_loss, rows(500, 0), rows(200, 1), config, seed=8)
    assert not np.array_equal(other.parameters["stem"], result.parameters["stem"])


def test_the_best_epoch_is_restored_and_patience_ends_the_run(layers):
    config = replace(CONFIG, batch_size=16, epochs=40, patience=2)
    result = fit(layers, log_loss, rows(60, 0), rows(200, 1), config, seed=0)
    losses = [report.validation_loss for report in result.history]
    assert len(losses) < 40
    assert result.best_epoch == len(losses) - 3
    valid = rows(200, 1)
    outputs = predict_fn(layers)(result.parameters, dict(valid.inputs))
    loss = log_loss(outputs, valid.targets, jnp.ones(200)).mean()
    assert float(loss) == pytest.approx(losses[result.best_epoch], rel=1e-5)


def test_micro_batches_change_nothing_but_rounding(layers):
    config = replace(CONFIG, epochs=2)
    plain = MlpConfig(width=16, blocks=1, dropout=0.0).build(table(5), HEADS)
    one, four = (
        fit(
            plain,
            log_loss,
            rows(500, 0),
            rows(200, 1),
            replace(config, micro_batches=parts),
            seed=3,
        )
        for parts in (1, 4)
    )
    for name, flat in one.parameters.items():
        np.testing.assert_allclose(flat, four.parameters[name], atol=2e-4)


def test_rows_of_weight_zero_do_not_count(layers):
    base, extra = rows(128, 0), rows(64, 9)
    joined = Arrays(
        {"features": np.concatenate([base.inputs["features"], extra.inputs["features"]])},
        {"active": np.concatenate([base.targets["active"], 1 - extra.targets["active"]])},
        np.concatenate([np.ones(128), np.zeros(64)]).astype(np.float32),
    )
    config = replace(CONFIG, batch_size=192, epochs=3)
    plain = MlpConfig(width=16, blocks=1, dropout=0.0).build(table(5), HEADS)
    weighted = fit(plain, log_loss, joined, rows(200, 1), config, seed=3)
    alone = fit(plain, log_loss, base, rows(200, 1), replace(config, batch_size=128), seed=3)
    for name, flat in alone.parameters.items():
        np.testing.assert_allclose(flat, weighted.parameters[name], atol=2e-4)


def test_a_few_rows_are_enough_to_run(layers):
    result = fit(layers, log_loss, rows(3, 0), rows(2, 1), replace(CONFIG, epochs=2), seed=0)
    assert all(np.isfinite(flat).all() for flat in result.parameters.values())


def test_stopping_is_heard_between_steps(layers):
    with pytest.raises(CancelledError):
        fit(layers, log_loss, rows(99, 0), rows(9, 1), CONFIG, seed=0, should_stop=lambda: True)


def test_a_loss_that_is_not_finite_says_what_to_do(layers):
    bad = rows(99, 0)
    bad.inputs["features"][3, 0] = np.nan
    with pytest.raises(InvalidArgumentError, match="learning_rate"):
        fit(layers, log_loss, bad, rows(9, 1), CONFIG, seed=0)


def test_double_precision_rows_are_refused_by_name():
    with pytest.raises(InvalidArgumentError, match="features is float64"):
        Arrays({"features": np.zeros((2, 3))}, {})


@pytest.mark.parametrize("kind", ["sgd", "adamw", "lamb"])
def test_every_optimizer_lowers_the_loss(layers, kind):
    rate = {"sgd": 0.1, "adamw": 5e-3, "lamb": 2e-2}[kind]
    config = replace(CONFIG, optimizer=OptimizerConfig(kind=kind, learning_rate=rate))
    history = fit(layers, log_loss, rows(500, 0), rows(200, 1), config, seed=0).history
    assert history[-1].train_loss < 0.75 * history[0].train_loss


def test_bfloat16_compute_learns_too(layers):
    config = replace(CONFIG, precision="bfloat16")
    result = fit(layers, log_loss, rows(500, 0), rows(200, 1), config, seed=0)
    assert result.history[-1].validation_loss < 0.35
    assert all(flat.dtype == jnp.float32 for flat in result.parameters.values())
