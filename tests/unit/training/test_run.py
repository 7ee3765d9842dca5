"""A whole small run: programs, calibration, evaluation and determinism."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from safetensors.numpy import load

from services.training.evaluation.bootstrap import draws, measure
from services.training.evaluation.ranking import auc
from services.training.runs.config import from_yaml
from services.training.runs.export import completeness_error
from services.training.runs.judge import answers
from services.training.runs.members import fit_members
from services.training.runs.rows import Rows
from services.training.runs.run import run_training
from services.training.runs.scaling import unscale
from tests.support.without_reason import told_and_moved
from tests.unit.training import shop
from tests.unit.training.conftest import SMALL, Heard

FILES = {
    "predict.jaxexport",
    "attribute.jaxexport",
    "embed.jaxexport",
    "weights.safetensors",
    "evaluation.json",
    "judged.safetensors",
    "model_card.md",
    "config.yaml",
}


@pytest.fixture(scope="session")
def weights(result):
    return {
        name: jnp.asarray(value)
        for name, value in load(result.files["weights.safetensors"]).items()
    }


def program(result, name):
    return export.deserialize(bytearray(result.files[name]))


@pytest.fixture(scope="session")
def predict(result, weights):
    run = jax.jit(program(result, "predict.jaxexport").call)
    return lambda features, eligible: {
        name: np.asarray(value)
        for name, value in run(
            weights, jnp.asarray(features, jnp.float32), jnp.asarray(eligible)
        ).items()
    }


@pytest.fixture(scope="session")
def attribute(result, weights):
    run = jax.jit(program(result, "attribute.jaxexport").call)
    return lambda features: run(weights, jnp.asarray(features, jnp.float32))


@pytest.fixture(scope="session")
def rows(reader):
    return reader.arrays().rows(slice(0, 64))


def test_a_run_leaves_every_file_of_a_version(result):
    assert set(result.files) == FILES
    assert from_yaml(result.files["config.yaml"].decode()) == SMALL


def test_the_answer_is_coherent(predict, rows):
    answer = predict(rows.features, rows.eligible)
    segments = answer["segment_probabilities"]
    assert (segments[:, 0] == answer["churn_probability"]).all()
    assert (answer["churn_probability"] == 1 - answer["active_probability"]).all()
    assert segments.sum(axis=1) == pytest.approx(np.ones(64), abs=1e-6)
    assert (answer["expected_value"] >= 0).all()
    assert (answer["value_low"] >= 0).all()
    assert (answer["value_low"] <= answer["value_high"]).all()
    assert set(answer["segment"].tolist()) <= {0.0, 1.0, 2.0, 3.0}
    assert {value.dtype for value in answer.values()} == {np.dtype(np.float32)}


def test_ineligible_users_get_the_base_rates(predict, rows, result):
    answer = predict(rows.features, np.zeros(64, bool))
    base = result.manifest["base_rates"]
    assert answer["active_probability"] == pytest.approx(np.full(64, base["active"]), rel=1e-6)
    assert answer["expected_value"] == pytest.approx(np.full(64, base["expected_value"]), rel=1e-6)


def test_a_row_alone_gets_what_it_gets_in_a_batch(predict, rows):
    together = predict(rows.features, rows.eligible)
    for place in (0, 7, 63):
        alone = predict(rows.features[[place]], rows.eligible[[place]])
        for name, value in alone.items():
            assert value[0] == pytest.approx(together[name][place], rel=1e-5, abs=1e-6)


def test_missing_and_infinite_values_are_answered(predict, attribute):
    width = len(shop.FEATURES)
    for value in (np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0):
        answer = predict(np.full((1, width), value), np.ones(1, bool))
        assert all(np.isfinite(each).all() for each in answer.values()), value
        assert np.isfinite(attribute(np.full((1, width), value))["contributions"]).all()


def test_nobody_is_expected_to_spend_much_more_than_anybody_ever_has(predict, reader, weights):
    rng = np.random.default_rng(0)
    wild = rng.normal(size=(500, len(shop.FEATURES))) * 10.0 ** rng.uniform(0, 12, (500, 1))
    most = reader.arrays().spend_micros.max() / 1e6 * float(weights["calibration/spend"][0])
    assert predict(wild, np.ones(500, bool))["expected_value"].max() <= most * 1.001


def test_contributions_add_up_to_the_logit_of_the_prediction(predict, attribute, rows):
    said = attribute(rows.features)
    assert completeness_error(said) < 1e-4
    answer = predict(rows.features, np.ones(64, bool))
    expected = 1 / (1 + np.exp(-np.asarray(said["logit"])))
    assert answer["active_probability"] == pytest.approx(expected, abs=1e-6)


def test_what_drives_the_made_up_shop_is_what_is_said_to_drive_it(attribute, rows):
    size = np.abs(np.asarray(attribute(rows.features)["contributions"])).mean(axis=0)
    by_name = dict(zip(shop.FEATURES, size, strict=True))
    assert by_name["recency_days"] > 3 * by_name["noise"]


def test_without_its_strongest_reason_a_prediction_moves_as_was_said(
    predict, attribute, rows, weights
):
    contributions = np.asarray(attribute(rows.features)["contributions"])
    mean = jnp.zeros((1, len(shop.FEATURES)))
    usual = np.asarray(unscale(mean, weights["scaling/centre"], weights["scaling/spread"]))[0]

    def probability(features):
        return predict(features, np.ones(len(features), bool))["active_probability"]

    told, moved = told_and_moved(contributions, rows.features, shop.FEATURES, usual, probability)
    assert len(told) > 50
    assert (np.sign(told) == np.sign(moved)).all()


def test_programs_run_on_cpu_and_cuda_and_take_any_batch(result):
    for name in ("predict.jaxexport", "attribute.jaxexport", "embed.jaxexport"):
        assert set(program(result, name).platforms) == {"cpu", "cuda"}


def test_the_evaluation_names_every_metric_with_its_error(result):
    evaluation = json.loads(result.files["evaluation.json"])
    assert set(evaluation) == {
        "calibration",
        "calibration_error_by_chance",
        "comparisons",
        "fold",
        "forecast",
        "intervals",
        "lift",
        "lift_word",
        "losses",
        "metrics",
    }
    assert set(evaluation["metrics"]) == {"model", "logistic_regression", "recency_rule"}
    names = set(evaluation["metrics"]["model"])
    assert len(names) == 16
    assert all(set(each) == names for each in evaluation["metrics"].values())
    assert evaluation["metrics"]["model"]["auc"]["se"] > 0
    assert evaluation["fold"]["test_as_of"] == "2024-04-30T00:00:00+00:00"
    assert len(evaluation["comparisons"]) == 2 * 16


def test_the_model_learns_what_there_is_to_learn(result):
    metrics = json.loads(result.files["evaluation.json"])["metrics"]
    assert metrics["model"]["auc"]["value"] > 0.75
    error = metrics["model"]["auc"]["se"]
    assert metrics["model"]["auc"]["value"] > metrics["logistic_regression"]["auc"]["value"] - error


def test_losses_of_both_folds_fall_and_progress_ends_full(result, heard):
    losses = json.loads(result.files["evaluation.json"])["losses"]
    for fold in ("evaluation", "final"):
        curve = [loss["train_loss"] for loss in losses if loss["fold"] == fold]
        assert curve[-1] < curve[0]
    counts = [completed for completed, _, _ in heard.progresses]
    assert counts == sorted(counts)
    assert heard.progresses[-1][:2] == (2 * SMALL.members * SMALL.epochs,) * 2


def test_the_same_dataset_config_and_seed_give_the_same_bytes(reader, result):
    again = run_training(reader, "customers", SMALL, Heard())
    assert again.manifest == result.manifest
    for name, content in result.files.items():
        assert again.files[name] == content, name


def test_programs_name_no_path_of_this_checkout(result):
    checkout = str(Path(__file__).resolve().parents[3]).encode()
    assert not any(checkout in content for content in result.files.values())


def test_shuffled_labels_leave_nothing_to_learn():
    arrays = shop.arrays(shuffled=True, seed=3)
    rows = Rows(
        arrays.user_keys,
        arrays.as_ofs.astype(np.int64),
        arrays.eligible,
        arrays.features,
        arrays.spend_micros / 1e6,
    )
    last = rows.as_ofs == rows.as_ofs.max()
    fitted = fit_members(rows.where(~last), shop.LIMITS, SMALL, horizon_days=shop.HORIZON_DAYS)
    test = rows.where(last & rows.eligible)
    ranking = auc(test.is_active, answers(fitted, test).active)
    measured = measure({"auc": ranking}, draws(len(test), 200, seed=0)).estimate("auc")
    assert abs(measured.value - 0.5) <= 3 * measured.standard_error


def test_the_model_card_says_what_was_measured(result):
    card = result.files["model_card.md"].decode()
    assert "| AUC (churn) |" in card
    assert result.manifest["dataset_hash"] in card
