"""Layers that are small together are computed in one program, with the gradients of many."""

from functools import partial
from itertools import accumulate

import jax.numpy as jnp
import numpy as np
import pytest

from services.training.engine import init_weights
from services.training.engine.layerwise import LayerPrograms
from services.training.engine.local import to_device
from services.training.engine.ps.recipes import dense
from services.training.engine.rows import Batch, Plan, take
from services.training.engine.stages import Stage, single_layers, stages_of
from services.training.engine.step import step_key
from services.training.models import Layout, MlpConfig, Parameter, registered, stateless, table
from tests.support.model_suite import HEADS, loss, random_rows, subject

ROWS = 16


def layers_of(*sizes):
    return tuple(
        stateless(f"layer{number}", Layout((Parameter("weight", (size,)),)), lambda p, c, s: c)
        for number, size in enumerate(sizes)
    )


@pytest.mark.parametrize(
    ("sizes", "stages"),
    [
        ((10,), [[0]]),
        ((3, 3, 4), [[0, 1, 2]]),
        ((3, 3, 5), [[0, 1], [2]]),
        ((11, 1, 11, 11, 0, 9, 1, 1), [[0], [1], [2], [3], [4, 5, 6], [7]]),
    ],
)
def test_a_stage_has_as_many_layers_as_stay_small_together(sizes, stages):
    found = stages_of(layers_of(*sizes), numbers=10)
    assert [list(stage.layers) for stage in found] == stages


def in_stages_of(layers, *sizes):
    """Stages of so many layers each."""
    ends = list(accumulate(sizes))
    return [Stage(str(end), range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


def gradients(layers, batch, stages):
    """The pass, and the gradient by layer."""
    weights = init_weights(layers, 1)
    given = dict(weights)
    for stage in stages:
        members = [weights[layers[number].name] for number in stage.layers]
        given[stage.name] = jnp.concatenate(members)
    programs = LayerPrograms(layers, loss, "float32", stages)
    passed = programs.forward(
        given, batch, jnp.float32(1 / ROWS), step_key(jnp.uint32(0), jnp.int32(3), 1)
    )
    found = {}
    programs.backward(passed, found.__setitem__)
    assert list(found) == list(reversed(range(len(stages))))
    vector = np.concatenate([found[number] for number in range(len(stages))])
    bounds = np.cumsum([layer.layout.size for layer in layers])
    parts = np.split(vector, bounds[:-1])
    return passed, {layer.name: part for layer, part in zip(layers, parts, strict=True)}


def assert_alike(layers, batch, stages):
    alone, expected = gradients(layers, batch, single_layers(layers))
    passed, found = gradients(layers, batch, stages)
    assert float(passed.loss) == pytest.approx(float(alone.loss), rel=1e-5)
    assert passed.observed.keys() == alone.observed.keys()
    for key, seen in alone.observed.items():
        np.testing.assert_allclose(passed.observed[key], seen, rtol=1e-4, atol=1e-5)
    for name, gradient in expected.items():
        scale = max(float(np.abs(gradient).max()), 1e-3)
        np.testing.assert_allclose(found[name] / scale, gradient / scale, atol=2e-5, err_msg=name)


def one_batch(inputs):
    return to_device(take(random_rows(inputs, ROWS, 0), Plan(np.arange(ROWS)), ROWS))


@pytest.mark.parametrize("name", sorted(registered()))
def test_every_model_in_one_stage_gives_the_gradients_of_its_layers(name):
    model = subject(name, registered()[name])
    stages = in_stages_of(model.layers, len(model.layers))
    assert_alike(model.layers, one_batch(model.inputs), stages)


@pytest.mark.parametrize("sizes", [(2, 3), (3, 1, 1), (1, 3, 1)])
def test_any_stages_give_the_gradients_of_the_layers(sizes):
    layers = MlpConfig(width=8, blocks=3, dropout=0.2).build(table(4), HEADS)
    assert_alike(layers, one_batch(table(4)), in_stages_of(layers, *sizes))


def test_a_model_that_is_one_stage_is_one_program():
    layers = MlpConfig(width=8, blocks=1, dropout=0.2).build(table(4), HEADS)
    called = []

    def counted(number, kind, program):
        def call(*arguments):
            called.append((number, kind))
            return program(*arguments)

        return call

    (stage,) = stages_of(layers)
    weights = {stage.name: jnp.concatenate(list(init_weights(layers, 0).values()))}
    programs = LayerPrograms(layers, loss, "float32", [stage], wrap=counted)
    passed = programs.forward(
        weights, one_batch(table(4)), jnp.float32(1), jnp.zeros(2, jnp.uint32)
    )
    programs.backward(passed, lambda number, gradient: None)
    assert called == [(0, "turn")]


def test_gradients_of_divisible_stages_have_the_same_bits_lowest_first():
    material = dense((6, 8, 8, 8, 3), 7)
    programs = LayerPrograms(material.layers, material.objective, "float32")
    rows = material.rows
    batch = Batch(rows.inputs, rows.targets, np.ones(7, np.float32))
    found = {}
    lowest_first = partial(programs.backward_lowest_first, head_start=8 * 3 + 3)
    for name, back in (("backward", programs.backward), ("lowest first", lowest_first)):
        passed = programs.forward(
            init_weights(material.layers, 1), batch, jnp.float32(1 / 7), jnp.zeros(2, jnp.uint32)
        )
        found[name] = {}
        back(passed, found[name].__setitem__)
    assert list(found["backward"]) == [3, 2, 1, 0]
    assert list(found["lowest first"]) == [3, 0, 1, 2]
    for number, gradient in found["backward"].items():
        np.testing.assert_array_equal(gradient, found["lowest first"][number])
