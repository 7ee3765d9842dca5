"""Runs over clicks, on visitors who follow paths."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from services.training.runs.click_config import ClickRunConfig, click_layers
from services.training.runs.click_judge import gained, judge_clicks, listed, places_of
from services.training.runs.clicks import TEST_FILE, require_known_items, run_clicks
from services.training.runs.config import from_yaml, to_yaml
from shared.dataset.clicks import NONE, ClickRows
from shared.errors import FailedPreconditionError, InvalidArgumentError
from tests.support.visits import dataset, table

CONFIG = ClickRunConfig(
    model={"type": "candidates", "width": 8}, epochs=3, batch_size=32, bootstrap_samples=20
)


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


class Changed:
    """A dataset whose rows or manifest are others than were built."""

    def __init__(self, reader, rows=None, **changes):
        self.manifest = replace(reader.manifest, **changes)
        self._rows = reader.rows() if rows is None else rows

    def rows(self):
        """The rows."""
        return self._rows


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    rows, judged = table(), table(40, seed=1)
    both = pa.concat_tables([rows, judged])
    return dataset(tmp_path_factory.mktemp("visits") / "dataset", both, judged.num_rows)


@pytest.fixture(scope="module")
def result(reader):
    return run_clicks(reader, "next_click", CONFIG, Silent())


@pytest.fixture(scope="module")
def evaluation(result):
    return json.loads(result.files["evaluation.json"])


def test_a_run_leaves_a_program_a_card_and_what_it_was_judged_by(result, evaluation):
    rules = {"own_then_markov", "session_knn", "own_then_session_knn"}
    assert set(evaluation["metrics"]) == {"model", *rules}
    assert set(evaluation["test"]["metrics"]) == {"model", *rules}
    assert {"predict.jaxexport", "weights.safetensors", "config.yaml"} <= set(result.files)
    card = result.files["model_card.md"].decode()
    assert "# next_click" in card
    assert "NDCG at 10: +" in card
    assert "## Judged on the test files" in card
    assert result.manifest["kind"] == "clicks"


def test_paths_are_learned_so_the_model_beats_every_rule(evaluation):
    for metric in ("ndcg_10", "mrr_20"):
        assert gained(evaluation, metric)["low"] > 0


def test_the_same_rows_and_seed_give_the_same_bytes(reader, result):
    assert run_clicks(reader, "next_click", CONFIG, Silent()).files == result.files


def test_lists_of_test_sessions_name_items_and_are_what_was_judged(reader, result, evaluation):
    lists = list(csv.DictReader(io.StringIO(result.files[TEST_FILE].decode())))
    judged = table(40, seed=1).to_pydict()
    clicked = {
        (str(visit), str(step)): product
        for visit, step, product in zip(
            judged["visit"], judged["step"], judged["product"], strict=True
        )
    }
    assert len(lists) == sum(step >= 2 for step in judged["step"])
    hits = [
        clicked[each["session"], each["position"]] in [each[f"r{n}"] for n in range(1, 11)]
        for each in lists
    ]
    said = evaluation["test"]["metrics"]["model"]["hit_rate_10"]["value"]
    assert np.mean(hits) == pytest.approx(said)


def test_with_shuffled_answers_lists_hit_no_more_than_by_chance(reader):
    rows, rng = reader.rows(), np.random.default_rng(0)
    counts = (rows.items != NONE).sum(axis=1)
    chance = np.minimum(10 / counts, 1.0)
    mixed = replace(rows, answers=rng.integers(0, counts).astype(np.int32))
    run = run_clicks(Changed(reader, mixed), "next_click", CONFIG, Silent())
    judged = json.loads(run.files["evaluation.json"])["metrics"]["model"]["hit_rate_10"]
    last = rows.sessions >= reader.manifest.blocks[-1].first_session
    last &= rows.sessions < reader.manifest.blocks[-1].end_session
    assert abs(judged["value"] - chance[last].mean()) < 3 * judged["se"]


def test_a_candidate_from_later_sessions_is_refused_by_the_items_name(reader):
    rows = reader.rows()
    item = int(rows.items[0][~rows.is_own[0]][0])
    first = list(reader.manifest.first_sessions)
    first[item] = int(rows.sessions[0])
    leaking = Changed(reader, first_sessions=tuple(first))
    name = reader.manifest.items[item]
    with pytest.raises(FailedPreconditionError, match=f"'{name}'.*first clicked on later") as found:
        run_clicks(leaking, "next_click", CONFIG, Silent())
    assert found.value.reason == "ITEM_FROM_LATER"
    require_known_items(rows, reader.manifest)


def test_a_model_that_scores_no_candidates_is_refused_by_name():
    with pytest.raises(InvalidArgumentError, match="'mlp' does not score candidates"):
        click_layers(ClickRunConfig(model={"type": "mlp"}), 4, 5)


def test_a_config_is_read_as_it_was_written():
    assert from_yaml(to_yaml(CONFIG)) == CONFIG


def hand():
    """Three clicks of two sessions with three candidates each; the last was none of them."""
    return ClickRows(
        sessions=np.array([0, 0, 1], np.int32),
        positions=np.array([2, 3, 2], np.int32),
        items=np.array([[5, 6, 7]] * 3, np.int32),
        is_own=np.array([[True, False, False]] * 3),
        features=np.zeros((3, 3, 1), np.float16),
        answers=np.array([0, 2, NONE], np.int32),
        rule_places=np.array([[1], [11], [0]], np.int32),
    )


def test_places_lists_and_metrics_are_as_by_hand():
    rows = hand()
    scores = np.array([[1.0, 3.0, 1.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    assert places_of(scores, rows.answers).tolist() == [2, 1, 0]
    assert listed(scores, rows.items)[0].tolist() == [6, 5, 7]
    judged = judge_clicks(scores, rows, ("rule",), samples=3, seed=0)
    model, rule = judged["metrics"]["model"], judged["metrics"]["rule"]
    assert model["hit_rate_10"]["value"] == pytest.approx(2 / 3)
    assert model["ndcg_10"]["value"] == pytest.approx((1 + 1 / np.log2(3)) / 3)
    assert model["mrr_20"]["value"] == pytest.approx((1 + 1 / 2) / 3)
    assert rule["hit_rate_10"]["value"] == pytest.approx(1 / 3)
    assert rule["hit_rate_20"]["value"] == pytest.approx(2 / 3)
    assert judged["candidates_hold"] == pytest.approx(2 / 3)
    assert judged["share_seen_before"] == pytest.approx(1 / 3)
    assert gained(judged, "hit_rate_10")["difference"] == pytest.approx(1 / 3)
