"""The shipped files about tables and texts over the real data: what is read and what is not."""

from pathlib import Path

import pytest

from services.feature.adapters.table_file import TableFile
from services.feature.usecases.build_table import explain_table, plan_table
from shared.config.prediction import shipped_text
from shared.config.table import located_table, parse_table_prediction

DATA = Path(__file__).parents[3] / "shared" / "data"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there"),
]


def asked(name):
    question = parse_table_prediction(located_table(shipped_text(name), DATA))
    return question, TableFile(Path(question.path))


@pytest.mark.parametrize(
    ("name", "rows", "numbers", "categories"),
    [("bank", 32_950, 9, 10), ("telco", 5_634, 4, 15), ("online_shoppers", 9_864, 11, 6)],
)
def test_every_column_of_a_shipped_table_is_read_as_what_it_is(name, rows, numbers, categories):
    question, source = asked(name)
    plan = plan_table(question, *source.read())
    kinds = [column.kind for column in plan.columns]
    assert len(plan.rows) == rows
    assert len(kinds) - kinds.count("category") == numbers
    assert kinds.count("category") == categories
    assert all(rule.is_met for rule in plan.rules)


def test_the_length_of_the_call_is_named_as_not_read_with_the_reason():
    found = explain_table(*asked("bank"))
    assert "known only after it" in found.excluded["duration"]
    assert "duration" not in found.features
    assert all(rule.is_met for rule in found.rules)


def test_reviews_without_a_text_are_left_out():
    question, source = asked("reviews")
    plan = plan_table(question, *source.read())
    assert (len(plan.rows), plan.left_out) == (18_116, 673)
    assert plan.excluded["rating"] == "source.columns does not name it"
