"""`oriel train` on sessions as people run it: files in, a published and judged version out."""

import re

import pandas as pd
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from app.cli import cli
from tests.support.visits import table

pytestmark = pytest.mark.usefixtures("compiled_as_for_users")

QUESTION = """
name: visits
source: {sessions: visits, session: visit, position: step, item: product}
target: {kind: next_click}
model: {type: candidates, width: 4}
"""


@pytest.fixture(scope="module")
def oriel(tmp_path_factory):
    """Run a command about the visits, with its services and a real worker."""
    data = tmp_path_factory.mktemp("data")
    (data / "visits").mkdir()
    pq.write_table(table(300), data / "visits" / "visits.parquet")
    pv.write_csv(table(20, seed=1), data / "visits" / "test.csv")
    (data / "visits.yaml").write_text(QUESTION)
    home = tmp_path_factory.mktemp("home") / "home"

    def run(*arguments):
        words = ["--home", str(home), *arguments]
        if arguments != ("init",):
            words += [str(data / "visits.yaml"), "--data", str(data)]
        result = CliRunner(env={"COLUMNS": "160"}).invoke(cli, words)
        assert result.exit_code == 0, result.exception or result.output
        return result.stdout

    run("init")
    run.home = home
    return run


@pytest.fixture(scope="module")
def trained(oriel):
    return oriel("train")


def test_it_prints_metrics_beside_the_rules_the_version_and_the_card(oriel, trained):
    assert "own then markov" in trained
    assert "the rows of the test files" in trained
    assert re.search(r"ndcg 10 +0\.\d{4} ± 0\.\d{4}", trained)
    version = oriel.home / "registry" / "models" / "visits" / "versions" / "1"
    assert "# visits" in (version / "model_card.md").read_text()
    lists = pd.read_csv(version / "test_predictions.csv")
    assert list(lists.columns)[:3] == ["session", "position", "r1"]
    assert lists["r1"].str.fullmatch(r"P\d\d").all()


def test_the_same_command_finds_the_same_version(oriel, trained):
    assert "models/visits/versions/1" in oriel("train")
    assert len(list((oriel.home / "runs").iterdir())) == 1


def test_a_dry_run_says_how_many_clicks_are_for_what(oriel, trained):
    found = oriel("train", "--dry-run")
    assert re.search(r"rows, evaluation test +\d+", found)
    assert re.search(r"rows, test files +\d+", found)


def test_check_and_explain_say_what_there_is(oriel):
    assert re.search(r"sessions +300 +200 +met", oriel("prediction", "check"))
    assert re.search(r"evaluation +\d+ +\d+", oriel("prediction", "explain"))
