"""`oriel train` on a table as people run it: a file in, a published and judged version out."""

import json
import re

import jax
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from jax import export
from safetensors.numpy import load_file

from app.cli import cli
from tests.e2e.test_train import oriel

QUESTION = """
name: calls
source: {table: calls}
target: {kind: column, column: bought, positive: "yes"}
id: customer
exclude: {seconds: known only after the call}
folds: 2
model: {type: mlp, width: 8, blocks: 1}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of rows to fit and of rows to judge on, and the prediction file about them."""
    data = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    age, job = rng.integers(18, 90, 500), rng.choice(["cook", "clerk"], 500)
    bought = rng.random(500) < 1 / (1 + np.exp(0.1 * (55 - age) - 2.0 * (job == "cook")))
    rows = pd.DataFrame(
        {
            "customer": np.arange(500),
            "age": age,
            "job": job,
            "visits": rng.permutation(500),
            "seconds": rng.random(500),
            "bought": np.where(bought, "yes", "no"),
        }
    )
    (data / "calls").mkdir()
    rows.head(400).to_parquet(data / "calls" / "calls.parquet")
    rows.tail(100).to_csv(data / "calls" / "test.csv", index=False)
    (data / "calls.yaml").write_text(QUESTION)
    return data


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home") / "home"
    oriel("--home", home, "init")
    return home


@pytest.fixture(scope="module")
def trained(home, data):
    return oriel("--home", home, "train", data / "calls.yaml", "--data", data)


def test_it_prints_metrics_beside_the_baselines_the_version_and_the_card(trained, home):
    assert "gradient boosting" in trained
    assert "the rows of the test files" in trained
    assert re.search(r"auc +0\.\d{4} ± 0\.\d{4}", trained)
    assert "models/calls/versions/1" in trained
    version = home / "registry" / "models" / "calls" / "versions" / "1"
    card = (version / "model_card.md").read_text()
    assert "`seconds`: known only after the call" in card


def test_the_version_alone_tells_rows_it_has_not_seen_as_the_docs_say(trained, home, data):
    version = home / "registry" / "models" / "calls" / "versions" / "1"
    columns = json.loads((version / "columns.json").read_text())["columns"]
    table = pd.read_csv(data / "calls" / "test.csv")
    numbers = [table[c["name"]] for c in columns if c["kind"] != "category"]
    words = [
        pd.Categorical(table[c["name"]].astype(str), c["values"]).codes
        for c in columns
        if c["kind"] == "category"
    ]
    program = export.deserialize(bytearray((version / "predict.jaxexport").read_bytes()))
    inputs = {"numbers": np.array(numbers, np.float32).T, "words": np.array(words, np.int32).T}
    weights = load_file(version / "weights.safetensors")
    said = np.asarray(jax.jit(program.call)(weights, inputs)["probability"])
    left = pd.read_csv(version / "test_predictions.csv")
    np.testing.assert_allclose(said, left["probability"], atol=2e-6)
    assert left["row"].tolist() == list(range(100))


def test_the_same_command_finds_the_same_version(trained, home, data):
    again = oriel("--home", home, "train", data / "calls.yaml", "--data", data)
    assert "models/calls/versions/1" in again
    assert len(list((home / "runs").iterdir())) == 1


@pytest.mark.slow
def test_a_thorough_run_tries_settings_and_leaves_the_leaderboard(trained, home, data):
    text = QUESTION + "search: {seeds: 1, space: {learning_rate: [0.004]}}"
    (data / "searched.yaml").write_text(text)
    command = ("--home", home, "train", data / "searched.yaml", "--data", data, "--thorough")
    found = oriel(*command, "--trials", "1", "--strategy", "grid")
    assert re.search(r"place +trial +log loss", found)
    version = home / "registry" / "models" / "calls" / "versions" / "2"
    card = (version / "model_card.md").read_text()
    assert "## Settings chosen by search" in card
    assert "Judged by cross-validation in 1 parts" in card
    assert len((version / "leaderboard.csv").read_text().splitlines()) == 3
    assert "models/calls/versions/2" in oriel(*command, "--trials", "1", "--strategy", "grid")
    told = oriel("--home", home, "compare", "calls/1", "calls/2")
    assert "rows judged by both  200" in told
    assert "search.strategy" in told


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--trials", "3"), "add --thorough"),
        (("--thorough", "--strategy", "grid"), "it is required for a grid"),
        (("--thorough", "--runtime", "ps"), "in one process"),
    ],
)
def test_options_of_a_search_that_make_no_sense_are_refused(options, said, home, data):
    command = ["--home", str(home), "train", str(data / "calls.yaml"), "--data", str(data)]
    result = CliRunner().invoke(cli, [*command, *options])
    assert result.exit_code != 0
    assert said in result.output + str(result.exception)


def test_a_dry_run_says_how_many_rows_each_fold_has(home, data):
    found = oriel("--home", home, "train", data / "calls.yaml", "--data", data, "--dry-run")
    assert re.search(r"rows, fold 1 +200", found)
    assert re.search(r"rows, test files +100", found)
