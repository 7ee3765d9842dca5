"""A published version runs as the function it was exported from."""

import jax
import numpy as np
import pytest
import safetensors.numpy

from services.inference.adapters.runner import ModelRunner
from shared.errors import FailedPreconditionError
from shared.registry import ModelRegistry
from tests.unit.inference import tiny_model


def test_a_prediction_is_what_a_hand_computes(runner):
    row = np.array([[np.e**2 - 1, np.e - 1, np.nan]], np.float32)
    outputs = runner.predict(row, np.array([True]))
    # scaled: 2 - 4, 1 - 1, 0 - 3; logit: 2 + 0 - 0.75 + 0.2
    active = 1 / (1 + np.exp(-1.45))
    assert outputs.active_probability[0] == pytest.approx(active, rel=1e-6)
    assert outputs.churn_probability[0] == pytest.approx(1 - active, rel=1e-5)
    assert outputs.expected_value_micros[0] == pytest.approx(active * 100e6, rel=1e-6)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 300])
def test_any_number_of_rows_agrees_with_the_raw_program(runner, count):
    rows = tiny_model.rows(count)
    eligible = np.arange(count) % 5 != 0
    outputs = runner.predict(rows, eligible)
    raw = jax.jit(tiny_model.predict)(tiny_model.WEIGHTS, rows, eligible)
    for name, values in raw.items():
        np.testing.assert_allclose(getattr(outputs, name), values, rtol=1e-6)


def test_a_row_alone_is_the_same_bits_as_in_a_batch(runner):
    rows, eligible = tiny_model.rows(300), np.arange(300) % 5 != 0
    outputs, attribution = runner.predict(rows, eligible), runner.attribute(rows)
    for place in (0, 63, 64, 299):
        one = slice(place, place + 1)
        alone = runner.predict(rows[one], eligible[one])
        np.testing.assert_array_equal(alone.active_probability, outputs.active_probability[one])
        np.testing.assert_array_equal(alone.expected_value, outputs.expected_value[one])
        np.testing.assert_array_equal(
            runner.attribute(rows[one]).contributions, attribution.contributions[one]
        )


def test_contributions_and_baseline_sum_to_the_logit(runner):
    attribution = runner.attribute(tiny_model.rows(100))
    total = attribution.contributions.sum(1) + attribution.baseline_logit
    np.testing.assert_allclose(total, attribution.logit, atol=1e-4)


def test_no_rows_are_answered_with_no_rows(runner):
    outputs = runner.predict(np.zeros((0, 3), np.float32), np.zeros(0, bool))
    assert outputs.active_probability.shape == (0,)
    assert outputs.segment_probabilities.shape == (0, 4)


def _publish(tmp_path, files, **manifest):
    return ModelRegistry(tmp_path).publish("tiny", files, tiny_model.MANIFEST | manifest)


def test_a_program_for_other_features_is_refused(tmp_path, model_files):
    version = _publish(tmp_path, model_files, features=["recency_days"])
    with pytest.raises(FailedPreconditionError, match="rows of") as caught:
        ModelRunner(version, buckets=())
    assert caught.value.reason == "MODEL_SIGNATURE_DIFFERS"


def test_weights_of_another_shape_are_refused(tmp_path, model_files):
    weights = safetensors.numpy.save(tiny_model.WEIGHTS | {"fill": np.zeros(4, np.float32)})
    version = _publish(tmp_path, model_files | {"weights.safetensors": weights})
    with pytest.raises(FailedPreconditionError, match="weights"):
        ModelRunner(version, buckets=())


def test_a_program_without_an_output_is_refused(tmp_path, model_files):
    swapped = model_files | {"predict.jaxexport": model_files["attribute.jaxexport"]}
    with pytest.raises(FailedPreconditionError, match="must return active_probability"):
        ModelRunner(_publish(tmp_path, swapped), buckets=())


def test_a_program_that_jax_cannot_read_is_refused_with_its_release(tmp_path, model_files):
    version = _publish(tmp_path, model_files | {"predict.jaxexport": b"x" * 64}, jax_version="9.9")
    with pytest.raises(FailedPreconditionError, match=r"JAX 9\.9") as caught:
        ModelRunner(version, buckets=())
    assert caught.value.reason == "MODEL_PROGRAM_UNREADABLE"


def test_a_version_that_answers_for_images_is_refused(tmp_path):
    registry = ModelRegistry(tmp_path)
    version = registry.publish("digits", tiny_model.files(), {"kind": "images"})
    with pytest.raises(FailedPreconditionError, match="answers for images") as caught:
        ModelRunner(version)
    assert caught.value.reason == "MODEL_NOT_FOR_USERS"
