"""`oriel train` as people run it: a prediction file in, a published and judged version out."""

import json
import re
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import cli
from pipelines.simulator import simulate
from services.training import main as training
from services.training.runs.config import RunConfig
from tests.support import pictures

QUICK = RunConfig(members=2, epochs=3, bootstrap_samples=20)


@pytest.fixture(scope="module", autouse=True)
def trained_quickly():
    """Train little."""
    with pytest.MonkeyPatch.context() as patch:
        settings = partial(training.TrainingSettings, run=QUICK)
        patch.setattr(training, "TrainingSettings", settings)
        yield


def oriel(*arguments):
    """Run a command that ends well, with its services and a real worker; return what it printed."""
    result = CliRunner(env={"COLUMNS": "160"}).invoke(cli, [str(each) for each in arguments])
    assert result.exit_code == 0, result.exception or result.output
    return result.stdout


def train(home, data, *options):
    return oriel("--home", home, "train", data / "bars.yaml", "--data", data, *options)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of images and the prediction file about them."""
    data = tmp_path_factory.mktemp("data")
    pictures.write_npz(data / "bars")
    (data / "bars.yaml").write_text(pictures.question("bars"))
    return data


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home") / "home"
    oriel("--home", home, "init")
    return home


@pytest.fixture(scope="module")
def dry(home, data):
    """What a dry run prints, and what it leaves to be served."""
    return train(home, data, "--dry-run"), (home / "registry").exists()


@pytest.fixture(scope="module")
def trained(dry, home, data):
    return train(home, data)


def manifest(home, model):
    return home / "registry" / "models" / model / "versions" / "1" / "manifest.json"


def test_a_dry_run_says_what_would_be_trained_and_trains_nothing(dry):
    printed, has_registry = dry
    facts = " ".join(printed.split())
    assert "rows, train 216 rows, validation 24 rows, test 60" in facts
    assert "classes 3: 0, 1, 2" in facts
    assert "convolution0 104" in facts  # 4 filters of 5 x 5 and 4 offsets
    assert not has_registry


def test_it_prints_metrics_beside_the_baseline_the_version_and_the_card(trained, home):
    assert "pixel regression" in trained
    assert "accuracy" in trained
    assert "models/bars/versions/1" in trained
    card = next(line for line in trained.splitlines() if line.startswith("model card")).split()[-1]
    assert Path(card) == manifest(home, "bars").parent / "model_card.md"
    assert "Judged on images it has not seen" in Path(card).read_text()


def test_the_same_command_finds_the_same_version(trained, home, data):
    assert "models/bars/versions/1" in train(home, data)
    assert len(list((home / "runs").iterdir())) == 1


def test_another_workspace_and_another_place_of_the_data_give_the_same_bytes(
    trained, home, data, tmp_path
):
    pictures.write_npz(tmp_path / "bars")
    (tmp_path / "bars.yaml").write_text((data / "bars.yaml").read_text())
    oriel("--home", tmp_path / "home", "init")
    train(tmp_path / "home", tmp_path)
    other = manifest(tmp_path / "home", "bars")
    assert other.read_bytes() == manifest(home, "bars").read_bytes()


@pytest.mark.slow
def test_a_question_about_users_is_trained_from_the_events_in_the_workspace(home, tmp_path):
    events = simulate(seed=3, users=120).write(tmp_path / "events.jsonl")
    oriel("--home", home, "ingest", events, "--mapping", "segment")
    printed = oriel("--home", home, "train", "churn_90d")
    assert "rows, evaluation test" in printed
    assert "2 networks of" in printed
    assert "logistic regression" in printed
    first = manifest(home, "churn_90d")
    assert json.loads(first.read_text())["predictions"] == ["churn_90d"]
    # The ensemble's two networks at the same time, on a server that they share.
    groups = ("--runtime", "ps", "--workers", "1", "--servers", "1", "--groups", "2")
    printed = oriel("--home", home, "train", "churn_90d", *groups)
    # Groups change no bit where the compiler adds in one order, and equal bytes are one version.
    (number,) = re.findall(r"models/churn_90d/versions/(\d+)/model_card", printed)
    alone, together = (
        json.loads((first.parents[1] / each / "evaluation.json").read_text())
        for each in ("1", number)
    )
    assert len(together["losses"]) == len(alone["losses"])
    assert together["metrics"]["model"]["auc"]["value"] == pytest.approx(
        alone["metrics"]["model"]["auc"]["value"], abs=0.05
    )


def test_runs_lists_the_run_and_shows_where_its_time_goes(trained, home):
    lines = oriel("--home", home, "runs").splitlines()
    (row,) = [line for line in lines if " bars " in line]
    assert "succeeded" in row
    assert "steps/s" in row
    shown = oriel("--home", home, "runs", row.split()[0])
    assert "trace.json" in shown
    assert "layers.svg" in shown
    assert "backward ms" in shown
    assert "convolution0" in shown


def test_a_run_is_compared_with_a_version(trained, home):
    (row,) = [line for line in oriel("--home", home, "runs").splitlines() if " bars " in line]
    told = oriel("--home", home, "compare", row.split()[0], "bars/1")
    assert "rows judged by both  60" in told
    assert "+0.0000 to +0.0000" in told
    assert "nothing differs in configuration or data" in told


@pytest.mark.slow
def test_parameter_servers_train_another_version_as_good(trained, home, data):
    placed = train(home, data, "--runtime", "ps", "--workers", "2", "--servers", "1")
    assert "models/bars/versions/2" in placed
    versions = manifest(home, "bars").parents[1]
    alone, together = (
        json.loads((versions / number / "evaluation.json").read_text())["metrics"]["model"]
        for number in "12"
    )
    assert together["accuracy"]["value"] == pytest.approx(alone["accuracy"]["value"], abs=0.05)
