"""Prediction files about sessions of clicks are read strictly."""

import re
from pathlib import Path

import pytest

from app.commands.templates import TEMPLATES
from shared.config.clicks import located_clicks, parse_click_prediction
from shared.config.prediction import parse_prediction, shipped_text
from shared.config.sources import source_of
from shared.errors import InvalidArgumentError

SOURCE = "source: {sessions: visits, session: visit, position: step, item: product}\n"
WHOLE = f"name: a\n{SOURCE}target: {{kind: next_click}}\n"


@pytest.mark.parametrize("text", [shipped_text("next_click"), TEMPLATES["next_click"], WHOLE])
def test_what_is_shipped_is_valid_and_asks_of_sessions(text):
    assert source_of(text) == "sessions"
    assert parse_click_prediction(text).model["type"] == "candidates"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WHOLE + "modle: {}\n", "did you mean 'model'"),
        (WHOLE + "horizon: 90d\n", "horizon.*about sessions has none"),
        (WHOLE.replace("next_click", "next_product"), "target.kind.*'next_click'"),
        (WHOLE.replace("item: product", "items: product"), "source.items.*did you mean 'item'"),
        (WHOLE.replace(", item: product", ""), "source.item: it is required"),
        (WHOLE.replace("item: product", "item: 3"), "source.item: 3 must be the name of a column"),
        (WHOLE.replace("item: product", "item: step"), "source.item.*named in source.position"),
        (WHOLE.replace("visits", "''"), "source.sessions.*name of a file or a folder"),
        (WHOLE.replace(SOURCE, ""), "source: it is required"),
    ],
)
def test_a_mistake_is_named_with_its_field(text, said):
    with pytest.raises(InvalidArgumentError, match=said):
        parse_click_prediction(text)


def test_a_file_without_a_source_is_told_that_it_needs_one():
    with pytest.raises(InvalidArgumentError, match="needs a `source"):
        parse_prediction("name: a\ntarget: {kind: next_click}\nhorizon: 90d\n")


def test_the_clicks_are_looked_for_below_the_data():
    assert parse_click_prediction(located_clicks(WHOLE, Path("/data"))).path == "/data/visits"


def test_the_page_documents_every_key_that_is_read_and_no_other():
    page = Path(__file__).parents[3] / "docs" / "reference" / "prediction-files.md"
    section = page.read_text(encoding="utf-8").partition("## Files about sessions")[2]
    table = section.partition("| key |")[2].partition("\n\n")[0]
    keys = re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE)
    assert {key.partition(".")[0] for key in keys} == {"name", "source", "target", "model"}
    source = {"source.sessions", "source.session", "source.position", "source.item"}
    assert {key for key in keys if key.startswith("source.")} == source
