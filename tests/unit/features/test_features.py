from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from shared.features import (
    FEATURES,
    GROUPS,
    Aggregate,
    Events,
    Function,
    Property,
    RecentOrder,
    Statistic,
    Window,
    feature_set_version,
    select,
    step_columns,
    words,
)
from shared.features.__main__ import reference
from shared.features.algebra import aggregates_of
from shared.features.calendar import Instant, Spine, day_start, local_day
from shared.features.compiler import compile_sql


@pytest.mark.parametrize("name", list(FEATURES))
def test_every_feature_is_named_grouped_and_said_in_words(name):
    feature = FEATURES[name]
    assert feature.name == name
    assert feature.group in GROUPS
    assert feature.label
    assert "{value}" in feature.words
    assert aggregates_of(feature.expression) or isinstance(feature.expression, RecentOrder)
    low, high = {"balance": (-0.5, 0.5), "orders a day": (0.01, 0.1)}.get(feature.unit, (3.0, 40.0))
    assert words(name, low) != words(name, high)
    assert "not known yet" in words(name, float("nan"))


def test_every_group_has_features_and_selecting_keeps_the_order_of_the_registry():
    assert all(select([group]) for group in GROUPS)
    assert select(["sequence", "trends", "windows", "rfm"]) == tuple(FEATURES.values())


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Aggregate(Function.COUNT, Events.ORDERS, Property.GROSS),
        lambda: Aggregate(Function.SUM, Events.ORDERS),
        lambda: Aggregate(Function.GAPS, Events.ORDERS, Property.DAY),
        lambda: Aggregate(Function.COUNT, Events.ORDERS, statistic=Statistic.MEAN),
        lambda: Aggregate(Function.DISTINCT, Events.ORDERS, Property.PRODUCT, Window(30)),
        lambda: Window(30, 30),
        lambda: Window(30, -1),
        lambda: RecentOrder(Property.NET, 1),
        lambda: RecentOrder(Property.GROSS, 0),
    ],
)
def test_what_the_algebra_has_no_meaning_for_cannot_be_declared(declare):
    with pytest.raises(ValueError, match=r".+"):
        declare()


def test_the_version_changes_with_meaning_and_not_with_words():
    features = select(["rfm"])
    version = feature_set_version(features)
    relabelled = (replace(features[0], label="x", words="{value}"), *features[1:])
    assert feature_set_version(relabelled) == version
    other = replace(features[0], expression=Aggregate(Function.COUNT, Events.CARTS))
    assert feature_set_version((other, *features[1:])) != version
    assert feature_set_version(features[1:]) != version


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("orders_ever", 1, "has ordered once"),
        ("orders_ever", 12, "has ordered 12 times"),
        ("orders_90d", 0, "did not order in the last 90 days"),
        ("recency_days", 1, "last ordered 1 day ago"),
        ("recency_days", 31.2, "last ordered 31 days ago"),
        ("order_days_ever", 1, "has ordered on 1 day"),
        ("refund_share", 0.25, "25% of the spend was refunded"),
        ("gross_90d", 1200.5, "spent 1,200.50 in the last 90 days"),
        ("recency_over_gap", 2.5, "quiet for 2.5 times the usual pause"),
        (
            "orders_balance_90d",
            -0.5,
            "fewer orders in the last 90 days than in the 90 before",
        ),
        ("gross_balance_90d", -1.0, "no spend in the last 90 days, but some in the 90 before"),
        ("views_balance_30d", 1.0, "views in the last 30 days, and none in the 30 before"),
        (
            "orders_balance_30d",
            0.0,
            "about the same orders in the last 30 days as in the 30 before",
        ),
        ("order_rate", 0.1, "orders about every 10 days since the first order"),
        ("order_rate", 3.0, "orders once a day or more since the first order"),
        ("gross_90d", 0.0, "spent nothing in the last 90 days"),
        ("views_90d", 0.0, "no product viewed in the last 90 days"),
        ("refunds_ever", 0.0, "has had no refund"),
        ("items_per_order", 74215.0, "buys 74,215 items an order"),
    ],
)
def test_values_read_as_a_person_would_say_them(name, value, said):
    assert words(name, value) == said


def test_days_begin_at_midnight_of_the_zone_also_when_clocks_change():
    zone = ZoneInfo("Europe/London")
    day = local_day(datetime(2011, 3, 27, 12, tzinfo=UTC), zone)
    lengths = [
        (day_start(each + 1, zone) - day_start(each, zone)).total_seconds() / 3600
        for each in (day - 1, day, day + 1)
    ]
    assert lengths == [24, 23, 24]


def test_only_the_label_reads_days_from_as_of_on():
    zone = ZoneInfo("UTC")
    instants = (Instant(15_000, day_start(15_000, zone)),)
    features = tuple(FEATURES.values())
    scoring = compile_sql(features, Spine(instants, "UTC"), "SELECT 1")
    training = compile_sql(features, Spine(instants, "UTC", 90), "SELECT 1")
    assert "as_of_day + " not in scoring
    assert "spend_micros" not in scoring
    assert training.count("as_of_day + 90") == 1
    name = "sales_days_before_in_90"
    readers = [line for line in training.splitlines() if name in line and "arrayCount" not in line]
    assert len(readers) == 1
    assert "AS spend_micros" in readers[0]


def test_the_page_of_all_features_is_fresh():
    page = Path(__file__).parents[3] / "docs" / "reference" / "features.md"
    assert page.read_text(encoding="utf-8") == reference(), "python -m shared.features > the page"


def test_the_columns_of_a_step_are_those_of_one_order_and_the_earliest_step_is_first():
    names = [each.name for each in select(["rfm", "sequence"])]
    columns = step_columns(names)
    assert [names[column] for column in columns[-1]] == [
        f"order1_{read}" for read in ("days", "gap", "gross", "items")
    ]
    assert [names[step[0]] for step in columns] == [f"order{n}_days" for n in range(8, 0, -1)]
    assert step_columns([each.name for each in select(["rfm"])]) == ()
