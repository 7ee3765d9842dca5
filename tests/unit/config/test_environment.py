"""The environment is read strictly: every mistake is told at once, with how to mend it."""

import logging
from pathlib import Path

import pytest

from shared.config import reference
from shared.config.environment import read
from shared.config.variables import (
    FEATURE_ADDRESS,
    GRACE_SECONDS,
    HOME,
    LISTEN,
    LOG_LEVEL,
    VARIABLES,
    WAREHOUSE,
    WarehouseAddress,
)
from shared.errors import InvalidArgumentError

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "environment.md"


def refused(environ, *needed):
    with pytest.raises(InvalidArgumentError) as caught:
        read(environ, VARIABLES, needed)
    assert caught.value.reason == "BAD_ENVIRONMENT"
    return caught.value.message


def test_values_come_parsed_and_defaults_stand_in():
    found = read(
        {"ORIEL_HOME": "/srv/oriel", "ORIEL_LOG_LEVEL": "WARNING", "PATH": "/bin"}, VARIABLES
    )
    assert found[HOME].path == Path("/srv/oriel")
    assert found[LOG_LEVEL] == logging.WARNING
    assert found[GRACE_SECONDS] == 5.0
    assert found.get(LISTEN) is None


def test_a_warehouse_is_named_by_a_url():
    text = "clickhouses://ada:p%40ss%2Fword@db.example:9440/shop"
    found = read({"ORIEL_WAREHOUSE": text}, VARIABLES)[WAREHOUSE]
    assert found == WarehouseAddress("db.example", 9440, "ada", "p@ss/word", "shop", True)


def test_what_a_url_leaves_out_is_what_clickhouse_takes():
    found = read({"ORIEL_WAREHOUSE": "clickhouse://db"}, VARIABLES)[WAREHOUSE]
    assert found == WarehouseAddress("db", 9000, "default", "", "oriel", False)


def test_a_missing_variable_is_named_with_an_example():
    message = refused({}, HOME)
    assert "ORIEL_HOME is not set" in message
    assert "ORIEL_HOME=/srv/oriel" in message


def test_an_empty_variable_counts_as_missing():
    assert "ORIEL_HOME is not set" in refused({"ORIEL_HOME": ""}, HOME)


def test_all_mistakes_are_told_at_once():
    message = refused(
        {"ORIEL_FEATURE_ADDRESS": "feature", "ORIEL_LOG_LEVEL": "loud"}, HOME, WAREHOUSE
    )
    for name in ("ORIEL_HOME", "ORIEL_WAREHOUSE", "ORIEL_FEATURE_ADDRESS", "ORIEL_LOG_LEVEL"):
        assert name in message
    assert len(message.splitlines()) == 4


def test_an_unknown_variable_is_refused_with_the_nearest():
    message = refused({"ORIEL_FEATURES_ADDRESS": "127.0.0.1:1"})
    assert "'ORIEL_FEATURES_ADDRESS' is unknown; did you mean 'ORIEL_FEATURE_ADDRESS'?" in message


@pytest.mark.parametrize(
    "text",
    [
        "db:9000/oriel",
        "http://ada:secret@db/oriel",
        "clickhouse://ada:secret@/oriel",
        "clickhouse://ada:secret@db:port/oriel",
        "clickhouse://ada:secret@db:123456/oriel",
        "clickhouse://ada:secret@db/no-such-name",
        "clickhouse://ada:sec?ret@db/oriel",
        "clickhouse://[ada:secret@db/oriel",
    ],
)
def test_a_wrong_warehouse_is_refused_without_its_password(text):
    message = refused({"ORIEL_WAREHOUSE": text})
    assert "ORIEL_WAREHOUSE is wrong" in message
    assert "secret" not in message
    assert "sec?ret" not in message


def test_a_warehouse_does_not_show_its_password():
    found = read({"ORIEL_WAREHOUSE": "clickhouse://ada:secret@db/oriel"}, VARIABLES)[WAREHOUSE]
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    "text", ["", "feature", ":50053", "feature:", "feature:0", "feature:65536", "a b:1", "::1:5"]
)
def test_an_address_needs_a_host_and_a_port(text):
    assert "ORIEL_FEATURE_ADDRESS" in refused({"ORIEL_FEATURE_ADDRESS": text}, FEATURE_ADDRESS)


@pytest.mark.parametrize("text", ["soon", "-1", "601", "nan", "inf"])
def test_a_grace_is_a_number_of_seconds(text):
    assert "from 0 to 600" in refused({"ORIEL_GRACE_SECONDS": text})


def test_every_example_and_default_is_right():
    for variable in VARIABLES:
        variable.parse(variable.example)
        if variable.default is not None:
            variable.parse(variable.default)


def test_the_page_says_what_the_variables_are():
    assert PAGE.read_text(encoding="utf-8") == reference.page()
