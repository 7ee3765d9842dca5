from pathlib import Path

import pytest
import yaml

from shared.config.prediction import shipped_text
from shared.config.sources import source_of
from shared.config.table import canonical, located_table, parse_table_prediction
from shared.errors import InvalidArgumentError

BANK = """
name: bank
source: {table: bank}
target: {kind: column, column: y, positive: "yes"}
id: row_id
exclude: {duration: known afterwards}
columns: {code: category}
folds: 4
model: {type: dcn}
"""
TEXTS = """
name: texts
source: {text: reviews, columns: [title, body]}
target: {kind: sentiment, column: liked, positive: 1}
"""


@pytest.mark.parametrize("name", ["bank", "telco", "online_shoppers", "reviews"])
def test_every_shipped_file_about_a_table_or_texts_is_valid(name):
    assert source_of(shipped_text(name)) == "table"
    question = parse_table_prediction(shipped_text(name))
    assert (question.name, bool(question.texts)) == (name, name == "reviews")


def test_every_key_is_read():
    question = parse_table_prediction(BANK)
    assert (question.path, question.id, question.folds) == ("bank", "row_id", 4)
    assert (question.target.column, question.target.positive) == ("y", "yes")
    assert question.exclude == {"duration": "known afterwards"}
    assert question.columns == {"code": "category"}
    assert question.model == {"type": "dcn"}


def test_what_is_left_out_has_a_simple_default():
    question = parse_table_prediction(TEXTS)
    assert question.texts == ("title", "body")
    assert (question.folds, question.id, question.model) == (5, None, {"type": "text_lstm"})
    assert question.target.positive == "1"


def test_values_of_cells_and_of_files_are_compared_as_the_same_words():
    assert [canonical(value) for value in (True, 1, 1.0, " yes ", 0.5)] == [
        "true",
        "1",
        "1",
        "yes",
        "0.5",
    ]


def test_its_place_is_made_absolute_and_nothing_else_changes():
    for text, key in ((BANK, "table"), (TEXTS, "text")):
        changed = yaml.safe_load(located_table(text, Path("/data")))
        before = yaml.safe_load(text)
        assert changed["source"].pop(key) == f"/data/{before['source'].pop(key)}"
        assert changed == before


@pytest.mark.parametrize(
    ("text", "change", "message"),
    [
        (BANK, ("folds: 4", "horizon: 90d"), "horizon: .*no users and no time"),
        (BANK, ("exclude:", "exclud:"), "did you mean 'exclude'"),
        (BANK, ("table: bank", "table: 3"), "source.table: name the file or folder"),
        (BANK, ("{table: bank}", "{table: bank, columns: [a]}"), "source.columns: .*did you mean"),
        (BANK, ("kind: column", "kind: churn"), "a file with a table asks for 'column'"),
        (BANK, (', positive: "yes"', ""), "target.positive: it is required"),
        (BANK, ('positive: "yes"', "positive: [a]"), "must be one value of the column"),
        (BANK, ("known afterwards", "''"), "exclude.duration: say why"),
        (BANK, ("code: category", "code: words"), "columns.code: 'words' is unknown; did you mean"),
        (BANK, ("folds: 4", "folds: 1"), "folds: 1 must be a whole number between 2 and 20"),
        (BANK, ("code: category", "y: category"), "'y' is already named in target.column"),
        (BANK, ("id: row_id", "id: duration"), "'duration' is already named in id"),
        (BANK, ("id: row_id", "id: 3"), "id: 3 must be the name of a column"),
        (BANK, ("{type: dcn}", "dcn"), "mapping with a 'type'"),
        (TEXTS, ("columns: [title, body]", "columns: [a, b, c]"), "one column of text, or two"),
        (TEXTS, ("kind: sentiment", "kind: column"), "a file with a text asks for 'sentiment'"),
        (TEXTS, ("name: texts", "name: texts\nexclude: {a: b}"), "exclude: texts are read from"),
        (TEXTS, ("name: texts", "name: Texts"), "lower case letters"),
    ],
)
def test_a_mistake_is_told_by_its_field(text, change, message):
    assert change[0] in text
    with pytest.raises(InvalidArgumentError, match=message):
        parse_table_prediction(text.replace(*change))
