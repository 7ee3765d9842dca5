"""Datasets of tables and texts over a real channel: what is built, explained and refused."""

import numpy as np
import pandas as pd
import pytest

from oriel.common.v1 import common_pb2
from oriel.feature.v1 import feature_pb2 as pb
from oriel.feature.v1 import feature_pb2_grpc as rpc
from services.feature.domain.table_folds import folds_of
from services.feature.main import FeatureSettings, build
from shared.config.home import DEMO_PSEUDONYM_KEY, Home, WorkspaceSettings
from shared.dataset.tables import TEST, TableDatasetReader
from shared.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from shared.rpc import connect, from_status, serve

ROWS = 400


@pytest.fixture(scope="module")
def served(engine, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    workspace = WorkspaceSettings(pseudonym_key=DEMO_PSEUDONYM_KEY)
    service = build(FeatureSettings(Home(home), workspace), engine)
    with serve([service], "127.0.0.1:0") as server, connect(server.address) as channel:
        yield rpc.FeatureServiceStub(channel)


@pytest.fixture
def contacts():
    """A table of every kind of column, whose answer hangs on age and job."""
    rng = np.random.default_rng(0)
    age = rng.integers(18, 90, ROWS)
    job = rng.choice(["cook", "clerk", "none"], ROWS)
    answer = rng.random(ROWS) < 0.2 + 0.3 * (age > 50) + 0.3 * (job == "cook")
    return pd.DataFrame(
        {
            "row": np.arange(ROWS),
            "age": age,
            "job": job,
            "member": rng.random(ROWS) < 0.5,
            "balance": np.where(rng.random(ROWS) < 0.2, " ", rng.integers(0, 99, ROWS).astype(str)),
            "visits": rng.permutation(ROWS),
            "duration": rng.random(ROWS),
            "y": np.where(answer, "yes", "no"),
        }
    )


def question(path, change=("", "")):
    return f"""
name: contacts
source: {{table: {path}}}
target: {{kind: column, column: y, positive: "yes"}}
id: row
exclude: {{duration: known only after the call}}
folds: 4
""".replace(*change)


@pytest.fixture
def build_from(served, request, tmp_path):
    """Write a table, build a dataset of it and return it as it ended."""

    def run(table, change=("", ""), text=None):
        file = tmp_path / "contacts.parquet"
        table.to_parquet(file)
        asked = pb.CreateDatasetRequest(
            prediction_files=[text or question(file, change)],
            purpose=pb.DATASET_PURPOSE_TRAINING,
            request_id=f"{request.node.name}/{change}",
        )
        name = served.CreateDataset(asked).dataset.name
        watch = served.WatchDataset(pb.WatchDatasetRequest(name=name))
        return [answer.dataset for answer in watch][-1]

    return run


def test_columns_are_typed_and_set_aside_by_name(build_from, contacts):
    dataset = build_from(contacts)
    assert dataset.state == common_pb2.STATE_SUCCEEDED, dataset.error
    reader = TableDatasetReader(dataset.uri)
    manifest, rows = reader.manifest, reader.rows()
    kinds = {column.name: column.kind for column in manifest.columns}
    assert kinds == {
        "age": "number",
        "member": "flag",
        "balance": "number",
        "visits": "number",
        "job": "category",
    }
    assert manifest.columns[-1].values == ("clerk", "cook", "none")
    assert manifest.excluded == {
        "y": "it is the answer",
        "row": "it names the row",
        "duration": "known only after the call",
    }
    assert dataset.row_count == len(rows) == ROWS
    assert rows.labels.tolist() == (contacts["y"] == "yes").tolist()
    np.testing.assert_array_equal(rows.numbers[:, 0], contacts["age"])
    blank = (contacts["balance"] == " ").to_numpy()
    np.testing.assert_array_equal(np.isnan(rows.numbers[:, 2]), blank)
    assert manifest.columns[2].missing == blank.sum()


def test_folds_have_equal_shares_of_both_answers_whatever_the_order(build_from, contacts):
    rows = TableDatasetReader(build_from(contacts).uri).rows()
    assert np.bincount(rows.folds).tolist() == [ROWS // 4] * 4
    positive = np.bincount(rows.folds, weights=rows.labels)
    assert positive.max() - positive.min() <= 1
    backwards = contacts.iloc[::-1]
    again = TableDatasetReader(build_from(backwards, ("folds: 4", "folds: 4 ")).uri).rows()
    assert again.folds[::-1].tolist() == rows.folds.tolist()


def test_rows_of_one_name_and_rows_that_are_all_the_same_stay_together(build_from, contacts):
    doubled = pd.concat([contacts, contacts.assign(row=contacts["row"] + ROWS)])
    rows = TableDatasetReader(build_from(doubled).uri).rows()
    assert (rows.folds[:ROWS] == rows.folds[ROWS:]).all()
    of_persons = contacts.assign(row=contacts["row"] // 4)
    by_name = TableDatasetReader(build_from(of_persons, ("folds: 4", "folds: 4  ")).uri).rows()
    assert all(len(set(fold)) == 1 for fold in by_name.folds.reshape(-1, 4))


def test_a_column_that_is_the_answer_in_other_words_fails_by_its_name(build_from, contacts):
    leaking = contacts.assign(paid_out=np.where(contacts["y"] == "yes", 100, 0))
    dataset = build_from(leaking)
    assert dataset.state == common_pb2.STATE_FAILED
    error = from_status(dataset.error)
    assert isinstance(error, FailedPreconditionError)
    assert error.reason == "COLUMN_TELLS_ANSWER"
    assert error.metadata["column"] == "paid_out"


def test_too_few_rows_fail_with_each_rule_and_its_threshold(build_from, contacts):
    error = from_status(build_from(contacts.head(60)).error)
    assert isinstance(error, FailedPreconditionError)
    assert "rows is 60, at least 200 needed" in error.message
    assert error.metadata["positive_rows"].endswith("of 40")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "y: the answer is missing"),
        ({"when": pd.Timestamp("2020-01-01")}, "when: holds times"),
    ],
)
def test_a_column_that_cannot_be_read_is_named(build_from, contacts, change, message):
    error = from_status(build_from(contacts.assign(**change)).error)
    assert isinstance(error, InvalidArgumentError)
    assert message in error.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("column: y", "column: z"), "z: the table has no such column; did you mean"),
        (("duration:", "durations:"), "no such column; did you mean 'duration'"),
        (("id: row\n", ""), None),
        (('positive: "yes"', "positive: maybe"), "no row has target.positive 'maybe'; there are"),
        (("folds: 4", "folds: 4\ncolumns: {job: number}"), "job: holds words, and columns has it"),
        (("folds: 4", "folds: 4\ncolumns: {age: flag}"), "age: is a flag, so its values must be"),
    ],
)
def test_a_question_that_does_not_fit_the_table_is_told(build_from, contacts, change, message):
    dataset = build_from(contacts, change)
    if message is None:
        assert dataset.state == common_pb2.STATE_SUCCEEDED
        return
    assert message in from_status(dataset.error).message


def test_explaining_names_folds_rules_and_every_column_that_is_not_read(served, contacts, tmp_path):
    file = tmp_path / "contacts.csv"
    contacts.assign(paid_out=contacts["y"]).to_csv(file, index=False)
    asked = pb.ExplainDatasetRequest(prediction_files=[question(file)])
    found = served.ExplainDataset(asked)
    assert found.row_count == ROWS
    reasons = {each.column: each.reason for each in found.excluded}
    assert reasons["duration"] == "known only after the call"
    assert reasons["paid_out"].startswith("tells the answer by itself")
    assert [(fold.train_row_count, fold.test_row_count) for fold in found.folds] == [(300, 100)] * 4
    broken = [rule.rule for rule in found.rules if not rule.is_met]
    assert broken == ["columns_that_do_not_tell_the_answer"]


def test_texts_are_read_and_rows_without_one_left_out(build_from, tmp_path):
    texts = pd.DataFrame(
        {
            "title": ["Good", None] * 150,
            "body": [f"I liked it {n}" if n % 2 else f"No {n}" for n in range(299)] + [" "],
            "stars": 5,
            "liked": [n % 2 for n in range(300)],
        }
    )
    text = f"""
name: texts
source: {{text: {tmp_path / "contacts.parquet"}, columns: [title, body]}}
target: {{kind: sentiment, column: liked, positive: 1}}
"""
    dataset = build_from(texts, text=text)
    assert dataset.state == common_pb2.STATE_SUCCEEDED, dataset.error
    reader = TableDatasetReader(dataset.uri)
    assert reader.rows().texts[:2].tolist() == [["Good", "No 0"], ["", "I liked it 1"]]
    assert len(reader.rows()) == 299
    assert reader.manifest.excluded["stars"] == "source.columns does not name it"


def test_rows_of_test_files_are_judged_on_only_and_take_those_like_them_along(
    served, contacts, tmp_path
):
    folder = tmp_path / "contacts"
    folder.mkdir()
    contacts.to_parquet(folder / "contacts.parquet")
    pd.concat([contacts.head(3), contacts.head(50).assign(age=99)]).assign(
        row=lambda rows: range(1_000, 1_000 + len(rows))
    ).to_csv(folder / "test.csv", index=False)
    asked = pb.CreateDatasetRequest(
        prediction_files=[question(folder)], purpose=pb.DATASET_PURPOSE_TRAINING
    )
    name = served.CreateDataset(asked).dataset.name
    watch = served.WatchDataset(pb.WatchDatasetRequest(name=name))
    dataset = [answer.dataset for answer in watch][-1]
    assert dataset.state == common_pb2.STATE_SUCCEEDED, dataset.error
    reader = TableDatasetReader(dataset.uri)
    rows = reader.rows()
    assert reader.manifest.test_count == 53
    assert rows.places[rows.folds == TEST].tolist() == list(range(53))
    assert rows.places[rows.folds != TEST].tolist() == list(range(3, ROWS))
    found = served.ExplainDataset(pb.ExplainDatasetRequest(prediction_files=[question(folder)]))
    assert (found.folds[-1].name, found.folds[-1].test_row_count) == ("test files", 53)


def test_a_place_that_is_no_table_is_refused_at_once(served, tmp_path):
    for path, kind in ((tmp_path, NotFoundError), ("here", InvalidArgumentError)):
        asked = pb.CreateDatasetRequest(
            prediction_files=[question(path)], purpose=pb.DATASET_PURPOSE_TRAINING
        )
        with pytest.raises(kind):
            served.CreateDataset(asked)


def test_groups_are_dealt_whole():
    groups = np.array([3, 3, 1, 2, 1], np.uint64)
    folds = folds_of(groups, np.array([True, True, False, False, False]), 2)
    assert folds[0] == folds[1]
    assert folds[2] == folds[4] != folds[3]
