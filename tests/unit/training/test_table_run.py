"""A whole run over a small table and over texts: what it leaves, how well it does, its leaks."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from jax import export
from safetensors.numpy import load

from services.training.runs import tables
from services.training.runs.comparing import compare
from services.training.runs.config import from_yaml, to_yaml
from services.training.runs.table_config import TableRunConfig
from services.training.runs.table_judge import require_apart
from services.training.runs.table_members import groups_within
from services.training.runs.tables import fit_reading, require_own, run_table
from shared.dataset.tables import TEST
from shared.errors import FailedPreconditionError
from tests.support import rows_of_tables
from tests.support.compared import published, tells_again_what_was_judged
from tests.unit.training.conftest import Heard

SMALL = TableRunConfig(
    seed=1,
    model={"type": "mlp", "width": 8, "blocks": 1},
    members=2,
    epochs=3,
    bootstrap_samples=20,
)
TEXTS = replace(SMALL, model={"type": "text_lstm", "width": 8}, is_text=True)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("datasets") / "table"
    return rows_of_tables.dataset(folder, rows_of_tables.cells(900))


@pytest.fixture(scope="module")
def heard():
    return Heard()


@pytest.fixture(scope="module")
def result(table, heard):
    return run_table(table, "small", SMALL, heard)


@pytest.fixture(scope="module")
def of_texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("datasets") / "texts"
    reader = rows_of_tables.dataset(folder, rows_of_tables.texts(500))
    return reader, run_table(reader, "small", TEXTS, Heard())


def test_it_learns_and_is_judged_on_every_row_beside_its_baselines(result):
    evaluation = json.loads(result.files["evaluation.json"])
    metrics = evaluation["metrics"]
    assert list(metrics["model"]) == list(metrics["gradient_boosting"])
    assert metrics["model"]["auc"]["value"] > 0.8
    assert 0 < metrics["model"]["auc"]["se"] < 0.05
    assert {each["baseline"] for each in evaluation["comparisons"]} == {
        "logistic_regression",
        "gradient_boosting",
    }
    assert sum(part["users"] for part in evaluation["lift"]) == 900
    assert evaluation["calibration_limit"] > 0
    assert evaluation["lift_word"] in ("very good", "excellent")


def test_rows_that_were_kept_have_every_metric_of_the_evaluation(result, tmp_path):
    assert tells_again_what_was_judged(tmp_path, result)


def test_it_says_how_far_it_is_and_every_loss(result, heard):
    assert {loss.fold for loss in heard.losses} == {"fold-1", "fold-2", "fold-3", "final"}
    assert heard.progresses[-1] == (24, 24, "done")
    assert all(
        before[0] <= after[0]
        for before, after in zip(heard.progresses, heard.progresses[1:], strict=False)
    )


def test_the_exported_program_says_what_the_ensemble_says_and_minds_words_it_never_met(
    result, table
):
    program = export.deserialize(bytearray(result.files["predict.jaxexport"]))
    weights = load(result.files["weights.safetensors"])
    rows = table.rows().where(np.arange(50))
    inputs = {"numbers": rows.numbers, "words": rows.codes}
    said = np.asarray(jax.jit(program.call)(weights, inputs)["probability"])
    assert said.shape == (50,)
    assert ((said > 0) & (said < 1)).all()
    cook, older = rows.codes[:, 0] == 1, rows.numbers[:, 0] > 60
    assert said[cook & older].mean() > said[~cook & ~older].mean() + 0.3
    unknown = {
        "numbers": np.full((1, 3), np.nan, np.float32),
        "words": np.full((1, 1), 99, np.int32),
    }
    assert np.isfinite(jax.jit(program.call)(weights, unknown)["probability"]).all()


def test_the_same_rows_and_seed_give_the_same_bytes(result, table):
    assert run_table(table, "small", SMALL, Heard()).files == dict(result.files)


def test_the_version_tells_its_columns_what_was_not_read_and_its_config(result):
    card = result.files["model_card.md"].decode()
    assert "`duration`: known only after the call" in card
    assert "Judged by cross-validation in 3 parts" in card
    assert result.manifest["signature"]["predict"]["inputs"]["numbers"]["shape"] == ["b", 3]
    columns = json.loads(result.files["columns.json"])["columns"]
    assert columns[-1] == {"name": "job", "kind": "category", "values": ["clerk", "cook", "none"]}
    assert from_yaml(result.files["config.yaml"].decode()) == SMALL
    assert from_yaml(to_yaml(TEXTS)) == TEXTS


def test_texts_are_told_apart_by_their_words(of_texts):
    reader, result = of_texts
    evaluation = json.loads(result.files["evaluation.json"])
    assert evaluation["metrics"]["model"]["auc"]["value"] > 0.8
    assert set(evaluation["metrics"]) == {"model", "logistic_regression", "naive_bayes"}
    tokenizer = json.loads(result.files["tokenizer.json"])
    assert {"lovely", "returned"} <= set(tokenizer["words"])
    program = export.deserialize(bytearray(result.files["predict.jaxexport"]))
    weights = load(result.files["weights.safetensors"])
    rows = reader.rows()
    asked = replace(
        rows.where(np.arange(2)),
        texts=np.array([["", "lovely perfect soft"], ["", "awful itchy returned"]], object),
    )
    inputs = fit_reading(rows, reader.manifest).raw(asked)
    praise, blame = jax.jit(program.call)(weights, inputs)["probability"]
    assert praise > 0.5 > blame


@pytest.mark.parametrize("kind", ["cells", "texts"])
def test_shuffled_answers_give_an_auc_of_one_half(kind, tmp_path):
    rows = getattr(rows_of_tables, kind)(600)
    shuffled = replace(rows, labels=np.random.default_rng(5).permutation(rows.labels))
    config = SMALL if kind == "cells" else TEXTS
    result = run_table(
        rows_of_tables.dataset(tmp_path / "shuffled", shuffled), "small", config, Heard()
    )
    auc = json.loads(result.files["evaluation.json"])["metrics"]["model"]["auc"]
    assert abs(auc["value"] - 0.5) < 3 * auc["se"]


@pytest.mark.parametrize(
    ("kind", "named"), [("cells", "age"), ("texts", "heldout")], ids=["scaling", "vocabulary"]
)
def test_what_was_fitted_on_rows_that_judge_fails_by_its_name(kind, named, tmp_path, monkeypatch):
    rows = getattr(rows_of_tables, kind)(300)
    if kind == "texts":
        with_word = rows.texts.copy()
        with_word[rows.folds == 0, 1] += " heldout"
        rows = replace(rows, texts=with_word)
    reader = rows_of_tables.dataset(tmp_path / "leak", rows)
    everything = fit_reading(rows, reader.manifest)
    monkeypatch.setattr(tables, "fit_reading", lambda *_: everything)
    config = SMALL if kind == "cells" else TEXTS
    with pytest.raises(FailedPreconditionError, match=named) as caught:
        run_table(reader, "small", config, Heard())
    assert caught.value.reason == "FITTED_ON_HELD_OUT_ROWS"


def test_a_word_that_only_held_out_rows_have_fails_by_its_column(table):
    rows = table.rows()
    train = rows.where((rows.codes[:, 0] != 2) & (rows.folds > 0))
    numbers = replace(rows, numbers=np.resize(train.numbers, rows.numbers.shape))
    leaking = fit_reading(numbers, table.manifest)
    honest = fit_reading(train, table.manifest)
    scaling = replace(honest.scaling, words=leaking.scaling.words)
    with pytest.raises(FailedPreconditionError, match="words of column job"):
        require_own(replace(honest, scaling=scaling), train, table.manifest)
    require_own(honest, train, table.manifest)


def test_rows_of_test_files_are_judged_by_the_final_model_and_told_one_by_one(tmp_path):
    rows = rows_of_tables.cells(600)
    rows.folds[:90] = TEST
    reader = rows_of_tables.dataset(tmp_path / "kept", rows)
    result = run_table(reader, "small", SMALL, Heard())
    evaluation = json.loads(result.files["evaluation.json"])
    assert evaluation["test"]["metrics"]["model"]["auc"]["value"] > 0.7
    assert "Judged on the test files" in result.files["model_card.md"].decode()
    head, *lines = result.files["test_predictions.csv"].decode().split()
    assert head == "row,probability"
    assert [int(line.split(",")[0]) for line in lines] == list(range(90))
    changed = replace(rows, labels=rows.labels ^ (rows.folds == TEST))
    again = rows_of_tables.dataset(tmp_path / "changed", changed)
    other = run_table(again, "small", SMALL, Heard()).files
    assert other["weights.safetensors"] == result.files["weights.safetensors"]


def test_folds_that_settings_were_chosen_on_are_fitted_to_and_not_judged(result, table, tmp_path):
    config = replace(SMALL, folds_searched=1)
    heard = Heard()
    other = run_table(table, "small", config, heard)
    evaluation = json.loads(other.files["evaluation.json"])
    assert evaluation["fold_count"] == 2
    assert sum(part["users"] for part in evaluation["lift"]) == 600
    assert {loss.fold for loss in heard.losses} == {"fold-2", "fold-3", "final"}
    assert "Judged by cross-validation in 2 parts" in other.files["model_card.md"].decode()
    assert from_yaml(other.files["config.yaml"].decode()) == config
    # On rows that both judged they are the same models.
    found = compare(published(tmp_path, result), published(tmp_path, other))
    assert found.row_count == 600
    assert {pair.difference.value for pair in found.pairs} == {0.0}
    assert [name for name, *_ in found.settings] == ["config.folds_searched"]


def test_a_row_in_both_halves_fails_by_name(table):
    rows = table.rows()
    with pytest.raises(FailedPreconditionError, match="must stay in one fold") as caught:
        require_apart(rows.where(np.arange(100)), rows.where(np.arange(99, 200)))
    assert caught.value.reason == "ROWS_IN_BOTH_HALVES"


def test_members_are_fitted_without_the_groups_they_are_judged_on():
    rows = rows_of_tables.cells(300)
    part = groups_within(replace(rows, groups=np.repeat(rows.groups[:100], 3))).reshape(-1, 3)
    assert (part == part[:, :1]).all()
    assert np.bincount(part[:, 0]).tolist() == [20] * 5
