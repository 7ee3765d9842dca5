"""Recurrence and attention equal their plain definitions and never look past a row's own steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from services.training.engine import init_weights, predict_fn
from services.training.models import (
    CnnConfig,
    GruConfig,
    HeadSpec,
    LstmConfig,
    TransformerConfig,
    parse_config,
    sequence,
)
from services.training.models.cnn import neighbours
from services.training.models.recurrence import gru, lstm
from services.training.models.sequence import last_of_each, mean_of_each
from services.training.models.transformer import attend
from shared.errors import InvalidArgumentError

HEADS = (HeadSpec("kind", 2),)


def normal(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).standard_normal(shape))


def plain_lstm(x, kernel, recurrent, bias):
    hidden = cell = jnp.zeros((x.shape[1], recurrent.shape[0]), x.dtype)
    out = []
    for now in x:
        i, f, g, o = jnp.split(now @ kernel + hidden @ recurrent + bias[None, :], 4, axis=1)
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
        out.append(hidden)
    return jnp.stack(out)


def plain_gru(x, kernel, recurrent, bias):
    hidden, size = jnp.zeros((x.shape[1], recurrent.shape[0]), x.dtype), recurrent.shape[0]
    out = []
    for now in x:
        given, before = now @ kernel + bias[None, :], hidden @ recurrent
        gates = jax.nn.sigmoid((given + before)[:, : 2 * size])
        r, z = gates[:, :size], gates[:, size:]
        candidate = jnp.tanh(given[:, 2 * size :] + r * before[:, 2 * size :])
        hidden = (1 - z) * candidate + z * hidden
        out.append(hidden)
    return jnp.stack(out)


@pytest.mark.parametrize(
    ("ours", "plain", "gates"), [(lstm, plain_lstm, 4), (gru, plain_gru, 3)], ids=["lstm", "gru"]
)
@pytest.mark.parametrize("steps", [1, 7])
def test_the_recurrence_and_its_gradients_equal_the_plain_definition(ours, plain, gates, steps):
    with jax.enable_x64(True):
        size = gates * 5
        arguments = normal(steps, 3, 4), normal(4, size), normal(5, size), normal(size)

        def both(form):
            value, back = jax.vjp(form, *arguments)
            return value, *back(jnp.cos(jnp.arange(value.size)).reshape(value.shape))

        got, wanted = jax.jit(lambda: both(ours))(), jax.jit(lambda: both(plain))()
        for one, other in zip(got, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10)


def test_attention_equals_softmax_over_the_steps_there_are():
    mixed = np.asarray(normal(2, 4, 3 * 6))
    mask = np.array([[True, True, True, False], [True, False, False, False]])
    got = attend(jnp.asarray(mixed), jnp.asarray(mask), 2)
    for row in range(2):
        for head in range(2):
            part = slice(3 * head, 3 * head + 3)
            query, key, value = (mixed[row, :, 6 * n : 6 * n + 6][:, part] for n in range(3))
            there = mask[row]
            scores = query @ key[there].T / np.sqrt(3)
            shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
            np.testing.assert_allclose(got[row, :, part], shares @ value[there], rtol=2e-5)


def test_the_last_and_the_mean_step_are_those_the_row_has():
    mask = jnp.array([[True, True, False], [True, False, False]])
    rows = jnp.arange(12.0).reshape(2, 3, 2)
    assert last_of_each(rows.transpose(1, 0, 2), mask).tolist() == [[2, 3], [6, 7]]
    assert mean_of_each(rows, mask).tolist() == [[1, 2], [6, 7]]


def test_a_convolution_sees_the_steps_so_far_before_and_after():
    rows = jnp.arange(1.0, 5.0).reshape(1, 4, 1)
    assert neighbours(rows, 1)[0].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 0]]
    assert neighbours(rows, 2)[0].tolist() == [[0, 1, 3], [0, 2, 4], [1, 3, 0], [2, 4, 0]]


@pytest.mark.parametrize(
    "config",
    [
        LstmConfig(width=8, layers=2),
        GruConfig(width=8, layers=2),
        CnnConfig(width=8, blocks=2),
        TransformerConfig(width=8, attention_heads=2),
    ],
)
def test_what_stands_after_a_rows_steps_changes_nothing(config):
    layers = config.build(sequence(6, vocabulary=5), HEADS)
    predict, weights = jax.jit(predict_fn(layers)), init_weights(layers, 0)
    mask = jnp.arange(6)[None, :] < jnp.array([[4], [2]])
    tokens = jnp.array([[1, 2, 3, 4, 0, 0], [2, 1, 0, 0, 0, 0]])
    plain = predict(weights, {"tokens": tokens, "mask": mask})["kind"]
    noisy = predict(weights, {"tokens": jnp.where(mask, tokens, 3), "mask": mask})["kind"]
    short = predict(weights, {"tokens": tokens[:, :4], "mask": mask[:, :4]})["kind"]
    np.testing.assert_allclose(plain, noisy, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(plain, short, rtol=1e-5, atol=1e-6)


def test_a_row_that_does_not_divide_into_heads_is_refused():
    config = parse_config({"type": "transformer", "width": 10, "attention_heads": 4})
    with pytest.raises(InvalidArgumentError, match="no multiple of attention_heads 4"):
        config.build(sequence(6, vocabulary=5), HEADS)


def test_beside_features_training_starts_from_plain_regression():
    layers = GruConfig(width=8).build(sequence(6, width=2, features=3), HEADS)
    rows = {"features": normal(4, 3), "steps": normal(4, 6, 2), "mask": jnp.ones((4, 6), bool)}
    weights = init_weights(layers, 0)
    assert predict_fn(layers)(weights, rows)["kind"].tolist() == [[0, 0]] * 4
    weights["heads"] = weights["heads"] + 1
    one, other = (
        predict_fn(layers)(weights, rows | {"features": features})["kind"]
        for features in (rows["features"], jnp.zeros((4, 3)))
    )
    expected = jnp.broadcast_to(rows["features"].sum(1)[:, None], (4, 2))
    np.testing.assert_allclose(one - other, expected, rtol=1e-4, atol=1e-5)
