"""Two versions side by side: differences on the same rows, settings, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from services.training.runs.comparing import compare
from services.training.runs.judged import JUDGED_FILE, Judged
from shared.errors import InvalidArgumentError
from tests.support.compared import published, tells_again_what_was_judged


@pytest.fixture
def rows(result):
    return Judged.read(result.files[JUDGED_FILE])


def changed(rows, **values):
    """A file of the same rows, of which something else was said or seen."""
    return {JUDGED_FILE: replace(rows, values={**rows.values, **values}).content}


def verdicts(found):
    return {pair.metric: pair.verdict for pair in found.pairs}


def test_rows_that_were_kept_have_every_metric_of_the_evaluation(result, tmp_path):
    assert tells_again_what_was_judged(tmp_path, result)


def test_rows_come_back_from_their_file_with_the_same_bytes(rows, result):
    assert rows.content == result.files[JUDGED_FILE]
    assert (rows.places == np.arange(len(rows.places))).all()


def test_a_version_that_knows_more_is_better_and_the_other_is_worse(result, rows, tmp_path):
    truth = (rows.values["spend_seen"] > 0).astype(np.float32)
    knowing = changed(rows, active=0.5 * rows.values["active"] + 0.5 * truth)
    first, second = published(tmp_path, result), published(tmp_path, result, knowing)
    found = compare(first, second)
    assert found.row_count == len(rows.places)
    assert found.unpaired == ""
    assert verdicts(found)["auc"] == verdicts(found)["log_loss"] == "better"
    assert verdicts(found)["normalised_gini"] == "tie"
    assert verdicts(found)["coverage"] == ""
    auc = next(pair for pair in found.pairs if pair.metric == "auc")
    assert auc.difference.value == pytest.approx(auc.second.value - auc.first.value)
    assert 0 < auc.difference.low < auc.difference.value < auc.difference.high
    turned = compare(second, first)
    assert verdicts(turned)["auc"] == verdicts(turned)["log_loss"] == "worse"


def test_a_change_within_chance_is_a_tie(result, rows, tmp_path):
    noise = np.random.default_rng(0).normal(size=len(rows.places))
    active = np.clip(rows.values["active"] + 0.01 * noise, 0.01, 0.99).astype(np.float32)
    found = compare(
        published(tmp_path, result), published(tmp_path, result, changed(rows, active=active))
    )
    assert verdicts(found)["auc"] == "tie"


def test_what_differs_in_configuration_and_data_is_told(result, tmp_path):
    config = {**result.manifest["config"], "seed": 9, "model": {"type": "dcn", "width": 8}}
    features = [*result.manifest["features"][1:], "clicks_30d"]
    other = published(tmp_path, result, config=config, features=features, dataset_hash="b")
    settings = {name: each for name, *each in compare(published(tmp_path, result), other).settings}
    assert settings["config.seed"] == ["0", "9"]
    assert settings["config.model.type"] == ["mlp", "dcn"]
    assert settings["config.model.blocks"] == ["1", ""]
    assert settings["features"] == ["7, only here: recency_days", "7, only here: clicks_30d"]
    assert settings["dataset_hash"][1] == "b"
    assert "config.epochs" not in settings


def test_versions_judged_on_different_rows_are_set_side_by_side_with_the_reason(
    result, rows, tmp_path
):
    others = replace(rows, population=rows.population[::-1].copy()).content
    evaluation = json.loads(result.files["evaluation.json"])
    evaluation["fold"]["test_as_of"] = "2025-01-01T00:00:00+00:00"
    files = {JUDGED_FILE: others, "evaluation.json": json.dumps(evaluation).encode()}
    found = compare(published(tmp_path, result), published(tmp_path, result, files))
    assert "judged on different rows" in found.unpaired
    assert "at 2025-01-01" in found.unpaired
    assert found.row_count == 0
    assert {pair.difference for pair in found.pairs} == {None}
    assert set(verdicts(found)) == set(evaluation["metrics"]["model"])


def test_a_version_without_its_rows_says_how_to_get_them(result, tmp_path):
    older = replace(
        result, files={name: each for name, each in result.files.items() if name != JUDGED_FILE}
    )
    found = compare(published(tmp_path, older), published(tmp_path, result))
    assert found.unpaired == "models/m/versions/1 did not keep what was judged; train again"
    assert found.pairs


def test_where_segments_end_elsewhere_all_other_metrics_are_still_paired(result, rows, tmp_path):
    shifted = changed(rows, segment_seen=np.minimum(rows.values["segment_seen"], 2))
    found = compare(published(tmp_path, result), published(tmp_path, result, shifted))
    assert found.unpaired == ""
    assert "auc" in verdicts(found)
    assert not [name for name in verdicts(found) if name.startswith("segment")]


def test_what_happened_must_be_the_same(result, rows, tmp_path):
    later = changed(rows, spend_seen=rows.values["spend_seen"] + 1.0)
    found = compare(published(tmp_path, result), published(tmp_path, result, later))
    assert "what happened was known otherwise" in found.unpaired


def test_only_rows_that_both_were_judged_on_are_compared(result, rows, tmp_path):
    few = np.arange(50, 120)
    part = Judged(rows.population, rows.places[few], rows.at(few))
    found = compare(
        published(tmp_path, result), published(tmp_path, result, {JUDGED_FILE: part.content})
    )
    assert found.row_count == 70
    assert {pair.difference.value for pair in found.pairs} == {0.0}


@pytest.mark.parametrize(
    ("key", "value"), [("horizon_days", 60), ("kind", "table"), ("currency", "USD")]
)
def test_versions_that_answer_different_questions_are_refused_by_what_differs(
    key, value, result, tmp_path
):
    other = published(tmp_path, result, **{key: value})
    with pytest.raises(InvalidArgumentError, match=f"{key} is .* in the second") as caught:
        compare(published(tmp_path, result), other)
    assert caught.value.reason == "QUESTIONS_DIFFER"
