"""Mapping files are read strictly; a wrong word is refused with the right one beside it."""

import pytest

from services.ingestion.adapters.builtin import builtin_mappings
from services.ingestion.domain.detect import detect
from services.ingestion.domain.mapping import Role, SourceKind
from services.ingestion.domain.mapping_text import parse_mapping
from shared.errors import InvalidArgumentError

ORDERS = """
kind: orders
columns: {order: nr, user: who, time: at, quantity: n, unit_price: each}
"""


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        (ORDERS + "coloumns: {}", "UNKNOWN_MAPPING_KEY", "did you mean 'columns'"),
        (ORDERS + "limits: {field_byte: 1}", "UNKNOWN_MAPPING_KEY", "'field_bytes'"),
        (ORDERS.replace("user:", "usr:"), "UNKNOWN_MAPPING_KEY", "did you mean 'user'"),
        (
            ORDERS.replace("time: at", "time: {column: at, format: x}"),
            "UNKNOWN_MAPPING_KEY",
            "did you mean 'formats'",
        ),
        (ORDERS.replace("orders", "order"), "BAD_MAPPING", "did you mean 'orders'"),
        (ORDERS.replace(", unit_price: each", ""), "BAD_MAPPING", "unit_price or amount"),
        (ORDERS.replace("user: who, ", ""), "BAD_MAPPING", "which column is user"),
        (ORDERS + "time_zone: Mars/Base", "BAD_MAPPING", "Europe/London"),
        (ORDERS + "encoding: latin-11", "BAD_MAPPING", "latin-1"),
        (ORDERS + "encoding: utf-16", "BAD_MAPPING", "UTF-8"),
        (ORDERS + 'delimiter: "||"', "BAD_MAPPING", "one character"),
        (ORDERS + "decimal: 7", "BAD_MAPPING", "must be text"),
        (ORDERS + "null_values: [1]", "BAD_MAPPING", "quotes around numbers"),
        (ORDERS + "negative_price: maybe", "BAD_MAPPING", "reject, accept"),
        (ORDERS + "limits: {future_days: -1}", "BAD_MAPPING", "above 0"),
        (ORDERS + "events: {a: 1}", "BAD_MAPPING", "names to names"),
        (
            ORDERS.replace("time: at", "time: {column: at, unit: h}"),
            "BAD_MAPPING",
            "s, ms, us, ns",
        ),
        (ORDERS.replace("time: at", "time: {unit: s}"), "BAD_MAPPING", "`column` or `default`"),
        (ORDERS.replace("time: at", "time: 7"), "BAD_MAPPING", "column name"),
        ("kind: [", "BAD_MAPPING", "not YAML"),
        ("nothing", "BAD_MAPPING", "`key: value`"),
        ("", "BAD_MAPPING", "`key: value`"),
    ],
)
def test_a_wrong_mapping_is_refused_and_the_message_mends_it(text, reason, words):
    with pytest.raises(InvalidArgumentError) as caught:
        parse_mapping(text, "ours.yaml")
    assert caught.value.reason == reason
    assert "ours.yaml" in caught.value.message
    assert words in caught.value.message


def test_a_nameless_mapping_counts_as_the_built_in_one_of_its_kind():
    assert parse_mapping(ORDERS).source == "order_lines"
    assert parse_mapping("kind: segment").source == "segment"
    flat = "kind: events\ncolumns: {event: e, user: u, time: t}"
    assert parse_mapping(flat).source == "segment"


def test_every_built_in_mapping_is_read_and_named_by_its_file():
    assert sorted(builtin_mappings()) == ["events", "order_lines", "segment", "transactions"]


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ("invoice stock_code description quantity timestamp unit_price customer_id", "order_lines"),
        (
            "InvoiceNo StockCode Quantity InvoiceDate UnitPrice CustomerID",
            "order_lines",
        ),
        ("customer_id date quantity amount", "transactions"),
        ("messageId userId event timestamp revenue", "events"),
        ("type userId event messageId properties", "segment"),
    ],
)
def test_the_built_in_mapping_is_found_by_the_columns(columns, name):
    builtins = list(builtin_mappings().values())
    found = detect(builtins, columns.split(), "some.csv", has_objects=name == "segment")
    assert found.name == name


def test_a_wrong_name_of_a_mapping_is_refused_with_the_nearest(world):
    with pytest.raises(InvalidArgumentError, match="did you mean 'order_lines'") as caught:
        world.take(world.file("a.csv", "a\n1"), "order_line")
    assert caught.value.reason == "UNKNOWN_MAPPING"


def test_money_of_another_currency_is_refused(world):
    path = world.file("a.csv", "nr,who,at,n,each\n")
    with pytest.raises(InvalidArgumentError) as caught:
        world.take(path, ORDERS + "currency: eur")
    assert caught.value.reason == "WRONG_CURRENCY"
    assert world.take(path, ORDERS + "currency: GBP").row_count == 0


def test_all_settings_reach_the_mapping():
    mapping = parse_mapping(
        ORDERS
        + """
name: till
source: shop
time_zone: Europe/Paris
encoding: cp1252
delimiter: ";"
decimal: ","
thousands: "."
null_values: ["-"]
negative_price: accept
refund_prefix: R
order_properties: [country]
limits: {field_bytes: 10, future_days: 2}
"""
    )
    assert (mapping.kind, mapping.name, mapping.source) == (SourceKind.ORDERS, "till", "shop")
    assert (mapping.time_zone, mapping.encoding) == ("Europe/Paris", "cp1252")
    assert (mapping.delimiter, mapping.decimal, mapping.thousands) == (";", ",", ".")
    assert mapping.columns[Role.ORDER].names == ("nr",)
    assert (mapping.limits.field_bytes, mapping.limits.future_days) == (10, 2)


def test_european_numbers_and_delimiters_are_read_as_the_mapping_says(world):
    mapping = ORDERS + 'delimiter: ";"\ndecimal: ","\nthousands: "."\n'
    text = "nr;who;at;n;each\n1;7;2023-01-01;2;1.234,50\n2;7;2023-01-01;1;12,x\n"
    world.take(world.file("a.csv", text), mapping)
    assert [row["gross_micros"] for row in world.events()] == [2_469_000_000]
    assert world.faults() == {(1, "BAD_NUMBER", "each")}
