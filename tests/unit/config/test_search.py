"""The `search` block of prediction files."""

import pytest

from shared.config.prediction import parse_prediction, shipped_text
from shared.config.search import OF_TABLES, OF_USERS, parse_search, with_search, without_search
from shared.config.table import parse_table_prediction
from shared.errors import InvalidArgumentError

GRID = {"strategy": "grid", "space": {"model.width": [16, 32], "epochs": [5, 10, 15]}}


def test_without_a_block_a_file_has_the_usual_search():
    usual = parse_prediction(shipped_text("churn_90d")).search
    assert (usual.strategy, usual.trials, usual.seeds, dict(usual.space)) == ("tpe", 20, 3, {})
    assert parse_table_prediction(shipped_text("bank")).search == usual


def test_lists_and_bounds_are_read():
    value = {**GRID, "trials": 6, "seeds": 1}
    asked = parse_search(value, OF_USERS)
    assert asked.space["epochs"].choices == (5, 10, 15)
    bounds = parse_search({"space": {"model.width": {"low": 8, "high": 64}}}, OF_USERS)
    assert bounds.space["model.width"].low == 8
    assert isinstance(bounds.space["model.width"].low, int)


@pytest.mark.parametrize(
    ("value", "keys", "said"),
    [
        ([], OF_USERS, "search: must be a mapping"),
        ({"trial": 3}, OF_USERS, "did you mean 'trials'"),
        ({"strategy": "hyperband"}, OF_USERS, "search.strategy: 'hyperband' is unknown"),
        ({"trials": 0}, OF_USERS, "search.trials: 0 must be a whole number"),
        ({"seeds": True}, OF_USERS, "search.seeds"),
        ({"space": {"learn_rate": [1]}}, OF_USERS, "did you mean 'learning_rate'"),
        ({"space": {"batch_size": [64]}}, OF_USERS, "'batch_size' is unknown"),
        ({"space": {"half_life_days": [60]}}, OF_TABLES, "'half_life_days' is unknown"),
        ({"space": {"model.type": ["mlp", "dcn"]}}, OF_USERS, "one file for each type"),
        ({"space": {"epochs": []}}, OF_USERS, "list 1 to 50 different values"),
        ({"space": {"epochs": [5, 5]}}, OF_USERS, "list 1 to 50 different values"),
        ({"space": {"epochs": 5}}, OF_USERS, "a list of values or a mapping"),
        ({"space": {"epochs": {"low": 5}}}, OF_USERS, "search.space.epochs.high: it is required"),
        ({"space": {"epochs": {"low": 9, "high": 5}}}, OF_USERS, "low must be less than high"),
        (
            {"space": {"weight_decay": {"low": 0, "high": 1, "log": True}}},
            OF_USERS,
            "above 0 with log",
        ),
        ({"strategy": "grid"}, OF_USERS, "it is required for a grid"),
        (
            {"strategy": "grid", "space": {"weight_decay": {"low": 0.1, "high": 1.0}}},
            OF_USERS,
            "a grid needs a list",
        ),
        ({**GRID, "trials": 5}, OF_USERS, "the grid has 6 points and only 5 are tried"),
    ],
)
def test_a_mistake_is_refused_by_its_field(value, keys, said):
    with pytest.raises(InvalidArgumentError, match=said):
        parse_search(value, keys)


def test_questions_whose_settings_are_not_searched_refuse_the_block():
    for name in ("next_order", "reviews"):
        text = with_search(shipped_text(name), trials=3)
        parse = parse_prediction if name == "next_order" else parse_table_prediction
        with pytest.raises(InvalidArgumentError, match="prediction file, search"):
            parse(text)


def test_the_block_is_set_key_by_key_and_taken_out_for_datasets():
    text = shipped_text("churn_90d")
    assert without_search(text) == text
    searched = with_search(with_search(text, trials=3), strategy="random", trials=None)
    assert parse_prediction(searched).search.trials == 3
    assert parse_prediction(searched).search.strategy == "random"
    assert parse_prediction(without_search(searched)) == parse_prediction(text)
