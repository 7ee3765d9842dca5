"""The suite that every registered model passes in every single-device runtime."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from safetensors.numpy import load, save

from services.training.engine import (
    FitConfig,
    Fitter,
    OptimizerConfig,
    forward,
    init_weights,
    predict_fn,
)
from services.training.engine.layers import split_state
from services.training.engine.layerwise import LayerPrograms
from services.training.engine.local import to_device
from services.training.engine.rows import Plan, take
from services.training.engine.step import step_key
from services.training.models import registered
from tests.support.model_suite import loss, random_inputs, random_rows, subject

ROWS = 16
OPTIMIZER = OptimizerConfig(learning_rate=1e-2, schedule="constant", warmup_share=0.0)
CONFIG = FitConfig(batch_size=ROWS, epochs=60, patience=0, optimizer=OPTIMIZER)
MODES = ["fused", "lean"]


@pytest.fixture(scope="module", params=sorted(registered()))
def model(request):
    return subject(request.param, registered()[request.param])


@pytest.fixture(scope="module")
def programs(model):
    """The layers' programs in float32, traced once for all tests of a model."""
    return LayerPrograms(model.layers, loss, "float32")


@pytest.fixture(scope="module")
def predict(model):
    """The model's answer as one program, traced once for all tests of a model."""
    return jax.jit(predict_fn(model.layers))


def training(model, config):
    """(rows) -> a fit to them."""
    fitter, nothing = Fitter(model.layers, loss, config), random_rows(model.inputs, 0, 0)
    return lambda rows: fitter.fit(rows, nothing, seed=0)


@pytest.mark.parametrize("mode", MODES)
def test_it_overfits_one_batch(model, mode):
    rows = random_rows(model.inputs, ROWS, 0)
    losses = [r.train_loss for r in training(model, replace(CONFIG, mode=mode))(rows).history]
    assert min(losses[-10:]) < 0.25 * losses[0]


@pytest.mark.parametrize("mode", MODES)
def test_the_same_seed_gives_the_same_bytes(model, mode):
    rows = random_rows(model.inputs, 3 * ROWS, 0)
    train = training(model, replace(CONFIG, epochs=2, mode=mode))
    once, again = (train(rows).parameters for _ in range(2))
    assert {k: np.asarray(v).tobytes() for k, v in once.items()} == {
        k: np.asarray(v).tobytes() for k, v in again.items()
    }


def test_layer_by_layer_and_in_one_program_agree_in_float64(model):
    rows = random_rows(model.inputs, 2 * ROWS, 0)
    optimizer = replace(OPTIMIZER, kind="sgd", clip_norm=None)
    config = replace(CONFIG, epochs=25, micro_batches=2, precision="float64", optimizer=optimizer)
    fused, lean = (training(model, replace(config, mode=mode))(rows).parameters for mode in MODES)
    for name in fused:
        np.testing.assert_allclose(fused[name], lean[name], rtol=1e-9, atol=1e-9)


def one_batch(model, seed=0):
    return to_device(take(random_rows(model.inputs, ROWS, seed), Plan(np.arange(ROWS)), ROWS))


def test_layer_by_layer_backward_is_the_gradient_that_jax_computes(model, programs):
    batch, key = one_batch(model), step_key(jnp.uint32(0), jnp.int32(3), 1)
    weights = init_weights(model.layers, 1)
    parameters, states = split_state(weights)

    def whole(parameters):
        outputs, _ = forward(
            model.layers, parameters | states, batch.inputs, is_training=True, key=key
        )
        return loss(outputs, batch.targets, batch.weights).sum() / ROWS

    value, expected = jax.jit(jax.value_and_grad(whole))(parameters)
    passed = programs.forward(weights, batch, jnp.float32(1 / ROWS), key)
    order = []

    def on_gradient(number, gradient):
        name = model.layers[number].name
        order.append(name)
        scale = max(float(jnp.abs(expected[name]).max()), 1e-3)
        np.testing.assert_allclose(gradient / scale, expected[name] / scale, atol=2e-5)

    programs.backward(passed, on_gradient)
    assert float(passed.loss) == pytest.approx(float(value), rel=1e-5)
    assert order == [layer.name for layer in reversed(model.layers)]


@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_gradients_are_finite_and_no_layer_is_without_one(model, programs, scale):
    batch, weights = one_batch(model), init_weights(model.layers, 1)
    inputs = {
        name: array * scale if array.dtype == jnp.float32 else array
        for name, array in batch.inputs.items()
    }
    # A head that starts at zero hides what is below it from the gradient: start elsewhere.
    weights = {name: flat + 0.01 for name, flat in weights.items()}
    batch, key = batch._replace(inputs=inputs), jnp.zeros(2, jnp.uint32)
    passed, gradients = programs.forward(weights, batch, jnp.float32(1), key), {}
    programs.backward(
        passed, lambda number, gradient: gradients.update({model.layers[number].name: gradient})
    )
    for name, gradient in gradients.items():
        assert np.isfinite(gradient).all(), name
        if scale:
            assert np.abs(gradient).max() > 0, name


def test_saved_and_loaded_weights_predict_the_same_bits(model, predict):
    weights = init_weights(model.layers, 3)
    loaded = load(save({name: np.asarray(flat) for name, flat in weights.items()}))
    inputs = random_inputs(model.inputs, 5, 0)
    for name, value in predict(weights, inputs).items():
        np.testing.assert_array_equal(value, predict(loaded, inputs)[name])


def test_the_exported_program_predicts_what_the_model_predicts(model, predict):
    weights = init_weights(model.layers, 3)
    (size,) = export.symbolic_shape("b")
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), weights)
    example = random_inputs(model.inputs, 1, 0)
    inputs = {n: jax.ShapeDtypeStruct((size, *a.shape[1:]), a.dtype) for n, a in example.items()}
    program = export.export(jax.jit(predict_fn(model.layers)), platforms=("cpu", "cuda"))(
        shapes, inputs
    )
    served = export.deserialize(program.serialize())
    rows = random_inputs(model.inputs, 5, 1)
    expected = predict(weights, rows)
    for name, value in jax.jit(served.call)(weights, rows).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6, atol=1e-6)


def test_a_batch_of_one_is_a_row_of_a_batch(model, predict):
    weights, inputs = init_weights(model.layers, 3), random_inputs(model.inputs, 5, 0)
    together = predict(weights, inputs)
    alone = predict(weights, {name: array[2:3] for name, array in inputs.items()})
    for name, value in alone.items():
        np.testing.assert_allclose(value[0], together[name][2], rtol=1e-5, atol=1e-5)


def test_outputs_have_the_width_of_their_heads_in_float32(model):
    for precision in ("float32", "bfloat16"):
        outputs, _ = jax.eval_shape(
            partial(forward, model.layers, precision=precision),
            init_weights(model.layers, 0),
            random_inputs(model.inputs, 4, 0),
        )
        assert {n: (v.shape, v.dtype) for n, v in outputs.items()} == {
            "kind": ((4, 3), jnp.float32),
            "value": ((4, 1), jnp.float32),
        }
