"""Runs about when something happens, on a shop whose customers order at known paces."""

import json
from dataclasses import replace
from math import exp, log

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load

from services.training.evaluation.waits import (
    cell_chances,
    chances_at,
    concordance,
    coverage,
    days_reached,
    integrated_brier,
    pinball,
)
from services.training.runs.export import completeness_error
from services.training.runs.scaling import unscale
from services.training.runs.wait_curve import (
    PARTS,
    base_logits,
    chance_logits,
    days_at,
    moved,
    objective,
    parts_of,
)
from services.training.runs.wait_rows import read_waits
from services.training.runs.waits import run_waits
from shared.dataset import DatasetReader
from shared.errors import FailedPreconditionError
from tests.support.compared import tells_again_what_was_judged
from tests.support.without_reason import told_and_moved
from tests.unit.training import shop
from tests.unit.training.conftest import SMALL, Heard
from tests.unit.training.test_run import program


def waiting(*, is_shuffled=False, seed=0):
    """Rows whose wait is drawn at a pace that recency tells."""
    rows = shop.arrays(user_count=400, seed=seed)
    rng = np.random.default_rng(seed + 1)
    days = rng.exponential(1.2 * rows.features[:, 0].astype(np.float64))
    if is_shuffled:
        days = rng.permutation(days)
    days = np.where(days < shop.HORIZON_DAYS, days, np.nan).astype(np.float32)
    return replace(rows, active=np.isfinite(days).astype(np.uint8), wait_days=days)


def reader_of(folder, rows, **changes):
    shop.write_rows(folder, rows, **{"predictions": ("next_order",), "awaited": "order"} | changes)
    return DatasetReader(folder)


@pytest.fixture(scope="module")
def heard_waits():
    return Heard()


@pytest.fixture(scope="module")
def waits_result(tmp_path_factory, heard_waits):
    reader = reader_of(tmp_path_factory.mktemp("waits") / "a", waiting())
    return run_waits(reader, "next_order", replace(SMALL, awaited="order"), heard_waits)


@pytest.fixture(scope="module")
def answered(waits_result):
    """Raw rows, what gives their chance within the horizon, and why it is what it is."""
    rows = waiting().features[:64]
    stored = {
        name: jnp.asarray(each)
        for name, each in load(waits_result.files["weights.safetensors"]).items()
    }
    predict, attribute = (
        jax.jit(program(waits_result, f"{name}.jaxexport").call)
        for name in ("predict", "attribute")
    )

    def chances(features):
        said = predict(stored, jnp.asarray(features), jnp.ones(len(features), bool))
        return np.asarray(said["chances"], np.float64)[:, -1]

    return rows, chances, attribute(stored, jnp.asarray(rows))


def evaluation_of(result):
    return json.loads(result.files["evaluation.json"])


def test_a_run_leaves_a_program_a_card_and_what_it_was_judged_by(waits_result, heard_waits):
    evaluation = evaluation_of(waits_result)
    assert set(evaluation["metrics"]) == {
        "model",
        "logistic_regression",
        "cells",
        "own_mean_gap",
        "bg_nbd",
    }
    assert set(waits_result.files) == {
        "predict.jaxexport",
        "attribute.jaxexport",
        "weights.safetensors",
        "evaluation.json",
        "judged.safetensors",
        "model_card.md",
        "config.yaml",
    }
    card = waits_result.files["model_card.md"].decode()
    assert "how probable an order of every user is" in card
    assert "integrated Brier score" in card
    assert "Reasons add up to the logit that it happens within the horizon" in card
    assert heard_waits.progresses[-1] == (4, 4, "done")
    assert waits_result.manifest["kind"] == "waits"


def test_rows_that_were_kept_have_every_metric_of_the_evaluation(waits_result, tmp_path):
    assert tells_again_what_was_judged(tmp_path, waits_result)


def test_paces_are_learned_and_said_with_the_chances_they_have(waits_result):
    metrics = evaluation_of(waits_result)["metrics"]
    model = metrics["model"]
    assert model["concordance"]["value"] > 0.6
    assert model["auc"]["value"] > 0.65
    for rule in ("own_mean_gap", "bg_nbd"):
        worse = metrics[rule]["integrated_brier"]
        assert model["integrated_brier"]["value"] < worse["value"]
    assert abs(model["coverage"]["value"] - 0.8) < 3 * model["coverage"]["se"] + 0.04


def test_reasons_add_up_to_the_chance_within_the_horizon(answered):
    rows, chances, said = answered
    assert completeness_error(said) < 1e-4
    expected = 1 / (1 + np.exp(-np.asarray(said["logit"], np.float64)))
    np.testing.assert_allclose(chances(rows), expected, atol=1e-6)


def test_without_its_strongest_reason_a_wait_changes_as_was_said(answered, waits_result):
    rows, chances, said = answered
    stored = load(waits_result.files["weights.safetensors"])
    mean = jnp.zeros((1, len(shop.FEATURES)))
    usual = np.asarray(unscale(mean, stored["scaling/centre"], stored["scaling/spread"]))[0]
    contributions = np.asarray(said["contributions"])
    told, moved_by = told_and_moved(contributions, rows, shop.FEATURES, usual, chances)
    assert len(told) > 50
    assert (np.sign(told) == np.sign(moved_by)).all()


def test_with_shuffled_labels_auc_is_a_half_within_three_standard_errors(tmp_path):
    reader = reader_of(tmp_path / "a", waiting(is_shuffled=True))
    result = run_waits(reader, "next_order", replace(SMALL, awaited="order"), Heard())
    model = evaluation_of(result)["metrics"]["model"]
    for measure in ("auc", "concordance"):
        assert abs(model[measure]["value"] - 0.5) <= 3 * model[measure]["se"]


def test_the_same_rows_and_seed_give_the_same_bytes(waits_result, tmp_path):
    reader = reader_of(tmp_path / "a", waiting())
    again = run_waits(reader, "next_order", replace(SMALL, awaited="order"), Heard())
    assert again.files == waits_result.files


def test_rules_that_read_orders_are_not_asked_of_other_events(tmp_path):
    reader = reader_of(tmp_path / "a", waiting(), awaited="Signed Up", predictions=("signup",))
    result = run_waits(reader, "signup", replace(SMALL, awaited="Signed Up"), Heard())
    assert set(evaluation_of(result)["metrics"]) == {"model", "logistic_regression"}
    assert not result.manifest["has_customer_base"]
    assert 'how probable a "Signed Up" of every user is' in result.files["model_card.md"].decode()


def test_a_feature_that_knows_the_wait_stops_the_run_with_its_name(tmp_path):
    rows = waiting()
    features = rows.features.copy()
    features[:, shop.FEATURES.index("noise")] = np.nan_to_num(rows.wait_days, nan=99.0)
    reader = reader_of(tmp_path / "a", replace(rows, features=features))
    with pytest.raises(FailedPreconditionError, match="feature 'noise' alone tells"):
        run_waits(reader, "next_order", replace(SMALL, awaited="order"), Heard())


def test_a_dataset_without_waits_is_refused(reader):
    with pytest.raises(FailedPreconditionError, match="how long until anything happens"):
        read_waits(reader, reader.manifest.as_ofs)


def test_the_loss_is_minus_the_log_likelihood_by_hand():
    hazard, base = 0.2, np.full(PARTS, log(0.2 / 0.8), np.float32)
    loss = objective(base)
    outputs = {"hazard": jnp.zeros((3, 3))}
    found = loss(outputs, {"part": jnp.array([0, 2, PARTS])}, jnp.array([1.0, 1.0, 2.0]))
    by_hand = [
        -log(hazard),
        -2 * log(1 - hazard) - log(hazard),
        -2 * PARTS * log(1 - hazard),
    ]
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)


def test_chances_follow_from_hazards_and_all_odds_move_by_one_factor():
    hazards = jnp.full((1, PARTS), log(0.1 / 0.9))
    logits = chance_logits(hazards)
    chances = 1 / (1 + np.exp(-np.asarray(logits)))
    np.testing.assert_allclose(chances[0], 1 - 0.9 ** np.arange(1, PARTS + 1), rtol=1e-4)
    moved_to = np.asarray(moved(logits, jnp.array([0.3])))[0]
    assert moved_to[-1] == pytest.approx(1 / (1 + exp(-0.3)), rel=1e-4)
    assert (np.diff(moved_to) > 0).all()
    odds = (moved_to / (1 - moved_to)) / (chances[0] / (1 - chances[0]))
    np.testing.assert_allclose(odds, odds[0], rtol=1e-3)


def test_days_are_where_the_chances_reach_a_level_and_none_after_the_horizon():
    chances = np.linspace(0.05, 0.6, PARTS)[None, :]
    assert days_at(jnp.asarray(chances), 0.025, 120.0).tolist() == pytest.approx([5.0])
    assert days_at(jnp.asarray(chances), 0.575, 120.0).tolist() == pytest.approx([115.0], rel=1e-4)
    assert np.isnan(days_at(jnp.asarray(chances), 0.61, 120.0)).all()
    assert days_reached(chances, 0.575, 120.0).tolist() == pytest.approx([115.0])
    assert days_reached(chances, 0.61, 120.0).tolist() == [120.0]
    assert chances_at(np.array([115.0]), chances, 120.0).tolist() == pytest.approx([0.575])


def test_base_hazards_are_rates_among_those_still_waiting():
    parts = parts_of(np.array([1.0, 1.0, 12.0, np.nan]), 120)
    assert parts.tolist() == [0, 0, 1, PARTS]
    base = base_logits(parts, np.ones(4))
    assert base[0] == pytest.approx(log(2.5 / 2.5))
    assert base[1] == pytest.approx(log(1.5 / 1.5))
    assert base[2] == pytest.approx(log(0.5 / 1.5))


def test_concordance_counts_pairs_as_one_by_one():
    rng = np.random.default_rng(0)
    parts = rng.integers(0, PARTS + 1, 60)
    chances = np.sort(rng.random((60, PARTS)).round(1), axis=1)
    weights = rng.integers(0, 3, 60).astype(float)
    soon, right, pairs = chances.sum(axis=1), 0.0, 0.0
    for one in range(60):
        for other in range(60):
            if parts[one] < parts[other]:
                pair = weights[one] * weights[other]
                pairs += pair
                right += pair * ((soon[one] > soon[other]) + 0.5 * (soon[one] == soon[other]))
    assert concordance(parts, chances)(weights) == pytest.approx(right / pairs)
    assert np.isnan(concordance(np.full(60, PARTS), chances)(weights))


def test_intervals_of_true_chances_cover_what_they_mean_to():
    rng = np.random.default_rng(1)
    pace = rng.uniform(0.2, 3.0, 20_000)
    ends = np.arange(1, PARTS + 1) / PARTS * 30.0
    chances = -np.expm1(-pace[:, None] * ends / 30.0)
    days = rng.exponential(30.0 / pace)
    days = np.where(days < 30.0, days, np.nan)
    once = np.ones(len(days))
    assert coverage(days, chances, 30.0, 0.1, 0.9)(once) == pytest.approx(0.8, abs=0.01)
    assert coverage(days, chances**2, 30.0, 0.1, 0.9)(once) < 0.77
    parts = parts_of(days, 30)
    true = integrated_brier(parts, chances)(once)
    assert true < integrated_brier(parts, chances**2)(once)
    assert pinball(days, chances, 30.0, (0.5,))(once) < pinball(days, chances**2, 30.0, (0.5,))(
        once
    )


def test_pinball_is_half_the_distance_from_the_median_by_hand():
    chances = np.tile(np.linspace(1 / PARTS, 1.0, PARTS), (2, 1))
    found = pinball(np.array([10.0, np.nan]), chances, 60.0, (0.5,))(np.ones(2))
    assert found == pytest.approx((0.5 * 20.0 + 0.5 * 30.0) / 2)


def test_cells_say_what_happened_to_users_alike_and_small_ones_what_happened_to_all():
    known = np.column_stack([np.repeat([1.0, 9.0], 50), np.ones(100)])
    parts = np.repeat([0, PARTS], 50)
    said = cell_chances(known, parts, np.array([[1.0, 1.0], [9.0, 1.0]]), PARTS)
    assert said[:, 0].tolist() == [1.0, 0.0]
    few = cell_chances(known[:55], parts[:55], np.array([[9.0, 1.0]]), PARTS)
    assert few[0, 0] == pytest.approx(50 / 55)
