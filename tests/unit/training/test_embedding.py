"""Embeddings are the rows that heads read, turned and shortened."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from safetensors.numpy import load

from services.training.engine import predict_fn
from services.training.engine.layers import init_weights
from services.training.models import registered
from services.training.runs.embedding import pooled_layers, pooled_weights, principal
from services.training.runs.export import EMBEDDING_WIDTH
from tests.support.model_suite import HEADS, random_inputs

OF_USERS = ("autoencoder", "cnn", "dcn", "gru", "lstm", "mlp", "transformer")


@pytest.mark.parametrize("name", OF_USERS)
def test_every_head_is_linear_in_the_pooled_row(name):
    example = registered()[name].example()

    def build(heads):
        return example.config.build(example.inputs, heads)

    layers, pooled = build(HEADS), pooled_layers(build)
    rng = np.random.default_rng(0)
    weights = {
        layer: value + 0.2 * rng.standard_normal(value.shape).astype(np.float32)
        for layer, value in init_weights(layers, 1).items()
    }
    inputs = random_inputs(example.inputs, 9, 2)
    trained = layers[-1].layout
    rows = predict_fn(pooled)(pooled_weights(pooled, trained, weights), inputs)["embedding"]
    assert np.ptp(rows, axis=0).max() > 0
    kept = trained.unpack(weights[layers[-1].name])
    for head, said in predict_fn(layers)(weights, inputs).items():
        reads = f"{head}/deep" if f"{head}/deep" in kept else f"{head}/weight"
        expected = rows @ kept[reads] + kept[f"{head}/bias"]
        for beside in (f"{head}/linear", f"{head}/features"):
            if beside in kept:
                expected = expected + inputs["features"] @ kept[beside]
        np.testing.assert_allclose(said, expected, atol=2e-4)


def test_directions_are_those_in_which_rows_differ_most():
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((500, 20)) * np.linspace(5, 1, 20) + 3.0
    centre, directions = principal(rows)
    np.testing.assert_allclose(centre, rows.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(directions.T @ directions, np.eye(EMBEDDING_WIDTH), atol=1e-5)
    spread = ((rows - centre) @ directions).std(axis=0)
    assert (np.diff(spread) <= 1e-6).all()
    singular = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)[:EMBEDDING_WIDTH]
    np.testing.assert_allclose(spread * np.sqrt(500), singular, rtol=1e-4)


def test_few_numbers_leave_the_other_directions_empty():
    rows = np.random.default_rng(2).standard_normal((50, 3))
    _, directions = principal(rows)
    assert directions.shape == (3, EMBEDDING_WIDTH)
    assert not directions[:, 3:].any()


def test_the_exported_program_places_any_number_of_rows(result, reader):
    program = export.deserialize(bytearray(result.files["embed.jaxexport"]))
    weights = {
        name: jnp.asarray(value)
        for name, value in load(result.files["weights.safetensors"]).items()
    }
    rows = reader.arrays().rows(slice(0, 40))
    features = jnp.asarray(rows.features, jnp.float32)
    placed = jax.jit(program.call)(weights, features)["embedding"]
    assert placed.shape == (40, EMBEDDING_WIDTH)
    assert placed.dtype == jnp.float32
    assert np.isfinite(placed).all()
    assert np.ptp(placed, axis=0).max() > 0.1
    alone = jax.jit(program.call)(weights, features[7:8])["embedding"]
    np.testing.assert_allclose(alone[0], placed[7], atol=1e-4)
    told = result.manifest["signature"]["embed"]["outputs"]["embedding"]["shape"]
    assert told == ["b", EMBEDDING_WIDTH]
