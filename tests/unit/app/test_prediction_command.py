"""`oriel prediction`: files to start from, rules with value and threshold, what would be read."""

import re
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from app import cli as cli_module
from app.commands.templates import TEMPLATES
from pipelines.training import Question
from shared.config import prediction, table
from shared.config.images import ImagePrediction
from shared.config.prediction import PredictionFile
from shared.config.table import TablePrediction

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "prediction-files.md"


@pytest.fixture
def oriel(tmp_path, monkeypatch, capsys):
    """Run the command as the shell does; return exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORIEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(cli_module.signal, "signal", lambda *_: None)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["oriel", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli_module.main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return run


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_file_to_start_from_is_valid_and_commented(kind):
    assert Question.of(TEMPLATES[kind]).name.startswith("my_")
    lines = [line for line in TEMPLATES[kind].splitlines() if not line.startswith("#")]
    assert TEMPLATES[kind].startswith("# ")
    assert sum("# " in line for line in lines) >= 3


def test_init_writes_a_file_once_and_prints_without_one(oriel, tmp_path):
    code, out, _ = oriel("prediction", "init", "churn")
    assert (code, out) == (0, TEMPLATES["churn"])
    assert oriel("prediction", "init", "table", "--out", "bank.yaml")[0] == 0
    assert (tmp_path / "bank.yaml").read_text() == TEMPLATES["table"]
    code, _, err = oriel("prediction", "init", "table", "--out", "bank.yaml")
    assert code == 2
    assert "is there already" in " ".join(err.split())


@pytest.fixture
def workspace(oriel):
    """An empty workspace."""
    code, _, err = oriel("init")
    assert code == 0, err


@pytest.fixture
def question(tmp_path, workspace):
    """Write a table of so many rows and the file that asks of it."""

    def write(count):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(
            {
                "age": rng.permutation(count),
                "seconds": rng.random(count),
                "y": rng.integers(0, 2, count),
            }
        )
        frame.to_parquet(tmp_path / "calls.parquet")
        (tmp_path / "calls.yaml").write_text(
            "name: calls\nsource: {table: calls.parquet}\n"
            "target: {kind: column, column: y, positive: 1}\n"
            "exclude: {seconds: known only after the call}\n"
        )

    return write


def test_check_lists_each_rule_with_value_and_threshold(oriel, question):
    question(400)
    code, out, _ = oriel("prediction", "check", "calls.yaml")
    assert code == 0, out
    assert re.search(r"rows +400 +200 +met", out)
    assert "oriel train calls.yaml" in out


def test_check_ends_with_a_failed_precondition_that_names_what_is_missing(oriel, question):
    question(90)
    code, out, err = oriel("prediction", "check", "calls.yaml")
    assert code == 3
    assert re.search(r"rows +90 +200 +not met", out)
    assert "rows is 90, at least 200 needed" in " ".join(err.split())


def test_explain_names_rows_folds_and_the_excluded_column_with_its_reason(oriel, question):
    question(400)
    code, out, _ = oriel("prediction", "explain", "calls.yaml")
    assert code == 0
    assert re.search(r"seconds +known only after the call", out)
    assert re.search(r"fold 5 +320 +80", out)


def test_explain_without_events_says_what_to_bring(oriel, workspace):
    code, _, err = oriel("prediction", "explain", "churn_90d")
    assert code == 3
    assert err.count("\n") == 2


def test_the_page_documents_every_key_that_is_read_and_no_other():
    text = PAGE.read_text(encoding="utf-8")
    users, _, rest = text.partition("## Files about images")
    images, _, rest = rest.partition("## Files about tables")
    tables, _, texts = rest.partition("## Files about texts")
    assert documented(users) == set(prediction._KEYS)
    assert documented(images) == keys_of(ImagePrediction) - {"images", "classes"} | {
        "source",
        "target",
    }
    assert documented(tables) == set(table.KEYS)
    assert documented(texts.partition("## ")[0]) <= set(table.KEYS)
    assert keys_of(PredictionFile) == set(prediction._KEYS)
    assert keys_of(TablePrediction) - {"path", "texts"} | {"source"} == set(table.KEYS)


def documented(section):
    """First parts of the keys in the first table of a section."""
    table = section.partition("| key |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([a-z_.]+)` \| [^|]+ \|", table, re.MULTILINE)
    return {key.partition(".")[0] for key in rows}


def keys_of(kind):
    return {each.name for each in fields(kind)}


def test_examples_of_the_page_are_read_without_complaint():
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        assert Question.of(block).name == yaml.safe_load(block)["name"]
