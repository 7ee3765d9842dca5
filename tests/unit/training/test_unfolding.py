"""Sequences are columns of the matrix, scaled alike and cut out in their order."""

import jax.numpy as jnp
import numpy as np

from services.training.engine import init_weights, predict_fn
from services.training.models import GruConfig, HeadSpec, MlpConfig
from services.training.models.layer import Layout, stateless
from services.training.runs.scaling import fit_scaling, scale_rows
from services.training.runs.unfolding import columns_of, network_layers, over_columns

STEPS = ((3, 4), (1, 2))
ROWS = np.array(
    [[5, 1, 10, 2, 20], [6, 3, 30, np.nan, np.nan], [np.nan, 4, 40, 5, 50]], dtype=np.float32
)


def test_steps_are_scaled_alike_and_flagged_by_their_first_column():
    scaling = fit_scaling(ROWS, STEPS)
    assert scaling.centre[1] == scaling.centre[3] == np.float32(np.log1p([1, 3, 4, 2, 5]).mean())
    assert scaling.spread[2] == scaling.spread[4]
    assert scaling.flagged == (0, 1, 3)


def test_a_model_is_given_the_steps_with_the_earliest_first_beside_a_rows_own_features():
    scaling = fit_scaling(ROWS, STEPS)
    columns = columns_of(STEPS, scaling)
    assert {field.name: field.shape for field in columns.inputs.fields} == {
        "features": (2,),
        "steps": (2, 3),
        "mask": (2,),
    }
    seen = {}
    look = stateless("look", Layout(), lambda p, carry, step: seen.update(carry) or carry)
    matrix = scale_rows(ROWS, scaling)
    predict_fn(over_columns((look,), columns))({"look": jnp.zeros(0)}, {"features": matrix})
    np.testing.assert_array_equal(seen["features"], matrix[:, [0, 5]])
    np.testing.assert_array_equal(seen["steps"][:, 0], matrix[:, [3, 4, 7]])
    np.testing.assert_array_equal(seen["steps"][:, 1], matrix[:, [1, 2, 6]])
    assert seen["steps"][1, 0].tolist() == [0, 0, 1]
    assert seen["mask"].all()


def test_all_columns_reach_a_sequence_model():
    columns = columns_of(STEPS, fit_scaling(ROWS, STEPS))
    layers = over_columns(GruConfig(width=4).build(columns.inputs, (HeadSpec("kind", 1),)), columns)
    weights = {name: flat + 0.1 for name, flat in init_weights(layers, 0).items()}
    predict = predict_fn(layers)
    plain = predict(weights, {"features": jnp.zeros((1, 8))})["kind"]
    for column in range(8):
        moved = predict(weights, {"features": jnp.zeros((1, 8)).at[0, column].set(1.0)})["kind"]
        assert abs(float(moved[0, 0] - plain[0, 0])) > 1e-4, column


def test_a_model_of_plain_rows_reads_the_columns_of_steps_too():
    layers = network_layers(MlpConfig(width=4), fit_scaling(ROWS, STEPS), STEPS)
    weights = {name: flat + 0.1 for name, flat in init_weights(layers, 0).items()}
    predict = predict_fn(layers)
    plain = predict(weights, {"features": jnp.zeros((1, 8))})["active"]
    for column in range(8):
        moved = predict(weights, {"features": jnp.zeros((1, 8)).at[0, column].set(1.0)})["active"]
        assert abs(float(moved[0, 0] - plain[0, 0])) > 1e-4, column
