"""Search as a step of a run: on which rows, what it chooses and what it leaves in the folder."""

import csv
import json

import pytest

from services.training.runs.folder import Order, RunFolder
from services.training.runs.result import RunResult
from services.training.runs.table_config import TableRunConfig
from services.training.search.choose import choose_for_table, choose_for_users
from services.training.search.scores import TableScores, UserScores
from services.training.search.space import Plan
from shared.config.search import Dimension
from shared.dataset import DatasetReader
from tests.support import rows_of_tables
from tests.unit.training import shop
from tests.unit.training.conftest import SMALL, Heard

TABLE = TableRunConfig(seed=1, model={"type": "mlp", "width": 8, "blocks": 1}, members=2, epochs=2)
SPACE = {"learning_rate": Dimension((1e-6,))}
PLAN = Plan("grid", trials=1, seeds=1, metric="log_loss", space=SPACE)


def folder_of(path, config):
    folder = RunFolder(path)
    folder.prepare(Order("m", "d", "h", search=PLAN.values()), config)
    return folder


@pytest.fixture(scope="module")
def customers(tmp_path_factory):
    """Enough rows a window to choose settings on windows."""
    folder = tmp_path_factory.mktemp("datasets") / "shop"
    shop.write(folder, user_count=400)
    return DatasetReader(folder)


@pytest.fixture(scope="module")
def of_users(customers, tmp_path_factory):
    heard = Heard()
    folder = folder_of(tmp_path_factory.mktemp("run") / "one", SMALL)
    return choose_for_users(customers, SMALL, PLAN.values(), folder, heard), folder, heard


def test_settings_for_users_are_chosen_before_the_judged_instant(customers, reader):
    scores = UserScores(customers, SMALL, "log_loss")
    judged = customers.manifest.fold("evaluation").test_as_ofs[0].timestamp() * 1000
    assert scores.rows.as_ofs.max() < judged
    assert "windows" in scores.parts.words
    # 285 rows a window are too few.
    assert "customers" in UserScores(reader, SMALL, "log_loss").parts.words


def test_the_better_settings_are_chosen_and_the_rest_of_the_config_is_kept(of_users):
    chosen, folder, heard = of_users
    tried = chosen.record.trials
    assert [dict(trial.params) for trial in tried] == [{}, {"learning_rate": 1e-6}]
    assert tried[0].score < tried[1].score, "nothing is learned at such a rate"
    assert chosen.config == SMALL
    rows = list(csv.DictReader((folder.path / "leaderboard.csv").read_text().splitlines()))
    assert [row["trial"] for row in rows] == ["0", "1"]
    assert heard.progresses[-1][:2] == (2, 2)
    assert "1 of 1 trials" in heard.progresses[-1][2]


def test_a_search_that_ended_is_not_done_again(of_users, customers):
    chosen, folder, _ = of_users
    again = Heard()
    assert choose_for_users(customers, SMALL, PLAN.values(), folder, again) == chosen
    assert again.progresses == []


def test_without_a_plan_nothing_is_searched_and_nothing_is_told(customers, tmp_path):
    chosen = choose_for_users(customers, SMALL, {}, RunFolder(tmp_path), Heard())
    result = RunResult({}, {})
    assert chosen.config is SMALL
    assert chosen.told(result) is result


def test_an_order_keeps_its_plan(tmp_path):
    order, _ = folder_of(tmp_path / "run", TABLE).order()
    assert Plan.read(order.search) == PLAN


def test_settings_for_a_table_are_chosen_on_folds_that_are_then_not_judged(tmp_path):
    table = rows_of_tables.dataset(tmp_path / "table", rows_of_tables.cells(900))
    scores = TableScores(table, TABLE, "log_loss")
    assert set(scores.rows.folds) == {0}
    folder = folder_of(tmp_path / "run", TABLE)
    chosen = choose_for_table(table, TABLE, PLAN.values(), folder, Heard())
    assert chosen.config.folds_searched == 1
    assert "left out of the cross-validation above" in chosen.record.words
    kept = json.loads((folder.path / "trials.json").read_text())["trials"]
    assert [len(trial["scores"]) for trial in kept] == [3, 3]
