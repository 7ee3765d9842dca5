"""Runs over candidate products, on a shop whose customers have tastes."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import comb

import numpy as np
import pytest

from services.feature.domain.product_pairs import CANDIDATES, FEATURES, Pairs
from services.training.runs.product_answer import answers, fit_reading
from services.training.runs.product_config import ANY, NEW, ProductRunConfig, product_layers
from services.training.runs.product_judge import baselines, judge_products, top_places
from services.training.runs.products import judged_instants, run_products
from shared.dataset.products import NONE, ProductDatasetReader, ProductRows, write_products
from shared.errors import FailedPreconditionError, InvalidArgumentError
from tests.support.compared import tells_again_what_was_judged
from tests.support.product_shop import PRODUCTS, order_lines

HORIZON = 60
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AS_OFS = tuple(EPOCH + timedelta(days=day) for day in (14_120, 14_150, 14_180, 14_240))
CONFIG = ProductRunConfig(model={"type": "candidates", "width": 8}, bootstrap_samples=20)


class Silent:
    """Hears nothing."""

    def progress(self, completed, total, message):
        """Say nothing."""

    def epoch(self, loss, report):
        """Say nothing."""

    def pace(self, pace):
        """Say nothing."""

    def fitted(self, sample):
        """Say nothing."""


@pytest.fixture(scope="module")
def blocks():
    """Rows of each instant."""
    lines, made = order_lines(), []
    for as_of in AS_OFS:
        pairs = Pairs(lines, float((as_of - EPOCH).days), HORIZON)
        made += pairs.rows(pairs.buyers(), round(as_of.timestamp() * 1000))
    return made


def write(folder, blocks, **changes):
    values = {
        "name": "datasets/shop",
        "purpose": "training",
        "predictions": ("next_product",),
        "features": FEATURES,
        "products": PRODUCTS,
        "first_sold_ms": (0,) * len(PRODUCTS),
        "candidate_count": CANDIDATES,
        "as_ofs": AS_OFS,
        "known_at": AS_OFS[-1] + timedelta(days=HORIZON),
        "horizon_days": HORIZON,
        "time_zone": "UTC",
    }
    write_products(folder, blocks, **{**values, **changes})
    return ProductDatasetReader(folder)


@pytest.fixture(scope="module")
def result(blocks, tmp_path_factory):
    """A whole run."""
    reader = write(tmp_path_factory.mktemp("products") / "dataset", blocks)
    return run_products(reader, "next_product", CONFIG, Silent())


def test_a_run_leaves_a_program_a_card_and_what_it_was_judged_by(result):
    evaluation = json.loads(result.files["evaluation.json"])
    assert set(evaluation["metrics"]) == {
        "model",
        "best_sellers",
        "own_then_best_sellers",
        "item_neighbours",
    }
    assert evaluation["fold"]["test_as_of"] == AS_OFS[-1].isoformat()
    assert evaluation["fold"]["train_as_ofs"] == [each.isoformat() for each in AS_OFS[:3]]
    assert b"# next_product" in result.files["model_card.md"]
    assert result.manifest["kind"] == "products"


def test_rows_that_were_kept_have_every_metric_of_the_evaluation(result, tmp_path):
    assert tells_again_what_was_judged(tmp_path, result)


def test_tastes_are_learned_so_the_model_beats_best_sellers(result):
    metrics = json.loads(result.files["evaluation.json"])["metrics"]
    for question in ("ndcg_any", "ndcg_new"):
        model, rule = metrics["model"][question], metrics["best_sellers"][question]
        assert model["value"] > rule["value"] + 2 * model["se"]


def test_the_same_rows_and_seed_give_the_same_bytes(blocks, result, tmp_path):
    again = run_products(write(tmp_path / "again", blocks), "next_product", CONFIG, Silent())
    assert again.files == result.files


def shuffled(rows: ProductRows, seed: int) -> ProductRows:
    """Rows whose users ordered as many of their candidates, but others drawn by chance."""
    rng = np.random.default_rng(seed)
    is_ordered = np.zeros_like(rows.is_ordered)
    for row, was in enumerate(rows.is_ordered):
        own = np.flatnonzero(rows.products[row] != NONE)
        is_ordered[row, own] = rng.permutation(was[own])
    return replace(rows, is_ordered=is_ordered)


def by_chance(is_allowed, is_ordered):
    """Mean chance that ten of the products allowed, drawn blindly, hold one that was ordered."""
    allowed, ordered = is_allowed.sum(axis=1), (is_allowed & is_ordered).sum(axis=1)
    missed = [comb(n - k, 10) / comb(n, 10) for n, k in zip(allowed, ordered, strict=True)]
    return 1 - np.mean(missed)


def test_with_shuffled_labels_lists_hit_no_more_than_by_chance(blocks, tmp_path):
    mixed = [shuffled(block, number) for number, block in enumerate(blocks)]
    run = run_products(write(tmp_path / "mixed", mixed), "next_product", CONFIG, Silent())
    metrics = json.loads(run.files["evaluation.json"])["metrics"]["model"]
    is_any, is_own = mixed[-1].products != NONE, mixed[-1].is_own
    for name, is_allowed in (("any", is_any), ("new", is_any & ~is_own)):
        found = metrics[f"hit_rate_{name}"]
        assert abs(found["value"] - by_chance(is_allowed, mixed[-1].is_ordered)) < 3 * found["se"]


def test_a_list_of_products_that_knows_the_future_is_refused_by_the_products_name(blocks, tmp_path):
    first_sold = [0] * len(PRODUCTS)
    first_sold[3] = round(AS_OFS[1].timestamp() * 1000)
    reader = write(tmp_path / "leak", blocks, first_sold_ms=tuple(first_sold))
    with pytest.raises(FailedPreconditionError, match=r"'P003'.*first ordered later") as caught:
        run_products(reader, "next_product", CONFIG, Silent())
    assert caught.value.reason == "PRODUCT_FROM_LATER"


def test_a_scoring_dataset_cannot_be_trained_on(blocks, tmp_path):
    reader = write(tmp_path / "scoring", blocks[-1:], purpose="scoring")
    with pytest.raises(FailedPreconditionError, match="made for training"):
        run_products(reader, "next_product", CONFIG, Silent())


def test_only_instants_whose_labels_end_by_the_judged_one_are_fitted_on():
    assert judged_instants(AS_OFS, 60, 6) == AS_OFS[:3]
    assert judged_instants(AS_OFS, 61, 6) == AS_OFS[:2]
    assert judged_instants(AS_OFS, 60, 2) == AS_OFS[1:3]
    with pytest.raises(FailedPreconditionError, match="bring more history"):
        judged_instants(AS_OFS, 200, 6)


def test_a_model_that_scores_no_candidates_is_refused_by_name():
    with pytest.raises(InvalidArgumentError, match="'mlp' does not score candidates"):
        product_layers(ProductRunConfig(model={"type": "mlp"}), 4, 5)


def test_hits_and_ndcg_are_as_by_hand():
    rows = ProductRows(
        user_keys=np.arange(2, dtype=np.uint64),
        as_ofs=np.zeros(2, np.int64),
        products=np.array([[0, 1, 2], [0, 1, NONE]], np.int32),
        is_own=np.array([[True, False, False], [False, False, False]]),
        features=np.zeros((2, 3, 1), np.float32),
        is_ordered=np.array([[True, False, True], [False, False, False]]),
        ordered=np.array([3, 0], np.int32),
        ordered_new=np.array([1, 0], np.int32),
    )
    said = {"model": {ANY: np.array([[1.0, 3, 2], [1, 2, 9]]), NEW: np.array([[9.0, 1, 2]] * 2)}}
    judged = judge_products(said, rows, samples=3, seed=0)["metrics"]["model"]
    assert judged["hit_rate_any"]["value"] == 0.5
    assert judged["hit_rate_new"]["value"] == 0.5
    discount = 1 / np.log2([2, 3, 4])
    ndcg = (discount[1] + discount[2]) / discount.sum() / 2
    assert judged["ndcg_any"]["value"] == pytest.approx(ndcg)
    assert judged["ndcg_new"]["value"] == pytest.approx(0.5)


def test_places_of_few_candidates_are_filled_with_minus_one():
    places = top_places(np.array([[1.0, 2.0, 3.0]]), np.array([[True, True, False]]), 3)
    assert places.tolist() == [[1, 0, -1]]


def test_a_lone_row_is_scored_as_in_a_block(blocks):
    rows = blocks[-1]
    layers = product_layers(CONFIG, CANDIDATES, len(FEATURES))
    rng = np.random.default_rng(0)
    weights = {
        layer.name: rng.normal(0, 0.1, layer.layout.size).astype(np.float32) for layer in layers
    }
    weights |= fit_reading(rows, FEATURES)
    whole, lone = answers(layers, weights, rows), answers(layers, weights, rows.rows(slice(0, 1)))
    np.testing.assert_allclose(whole[ANY][:1], lone[ANY], atol=1e-5)
    assert set(baselines(rows, FEATURES)["best_sellers"]) == {ANY, NEW}
