from datetime import timedelta

import pytest

from shared.config.prediction import Condition, load_shipped, parse_prediction
from shared.errors import InvalidArgumentError, NotFoundError

CHURN = """
name: churn_90d
target: {kind: churn}
eligible: orders_ever >= 1
horizon: 90d
as_of: {every: 30d, gap: 0d}
folds: auto
features: [rfm, windows, trends]
model: {type: mlp}
"""


@pytest.mark.parametrize("name", ["churn_90d", "value_90d", "segment_90d"])
def test_every_shipped_file_is_valid_and_asks_about_90_days(name):
    question = load_shipped(name)
    assert question.name == name
    assert question.target.kind == name.split("_")[0]
    assert question.horizon == timedelta(days=90)
    assert question.as_of.every == timedelta(days=30)
    assert question.features == ("rfm", "windows", "trends")


def test_the_shipped_file_about_the_next_order_shares_the_others_rows():
    question, churn = load_shipped("next_order"), load_shipped("churn_90d")
    assert question.target.kind == "next_order"
    assert (question.horizon, question.eligible) == (churn.horizon, churn.eligible)
    assert (question.as_of, question.features) == (churn.as_of, churn.features)


def test_an_unknown_shipped_name_is_not_found_and_the_others_are_named():
    with pytest.raises(NotFoundError, match="bank, churn_90d, cifar10"):
        load_shipped("../secrets")


def test_what_is_left_out_has_a_simple_default():
    question = parse_prediction("name: a\ntarget: {kind: value}\nhorizon: 4w\n")
    assert question.horizon == timedelta(days=28)
    assert question.eligible.conditions == ()
    assert question.folds == "auto"
    assert question.model == {"type": "mlp"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("horizon: 90d", "horizont: 90d"), "horizont.*did you mean 'horizon'"),
        (("horizon: 90d", "horizon: 90d\nmodell: {type: mlp}"), "did you mean 'model'"),
        (("every: 30d", "evry: 30d"), r"as_of\.evry.*did you mean 'every'"),
        (("kind: churn", "kind: chrun"), "did you mean 'churn'"),
        (("kind: churn", "kind: sentiment"), "'sentiment' needs a `source: {text"),
        (("kind: churn", "kind: churn, days: 3"), r"target\.days.*did you mean"),
        (("kind: churn", "kind: value, absent: event"), r"target\.absent.*did you mean 'kind'"),
        (("kind: churn", "kind: next_order, happens: order"), r"target\.happens.*'kind'"),
        (("kind: churn", "kind: event"), r"target\.happens: it is required: name an event"),
        (
            ("kind: churn", "kind: event, happens: 3"),
            r"target\.happens: 3 must be 'order', 'event'",
        ),
        (("kind: churn", 'kind: churn, absent: "it\'s"'), r"target\.absent.*the name of an event"),
        (("kind: churn", 'kind: churn, absent: "a\\\\"'), r"target\.absent.*the name of an event"),
        (("orders_ever >= 1", "order_ever >= 1"), "did you mean 'orders_ever'"),
        (("orders_ever >= 1", "orders_ever => 1"), "write 'feature >= number'"),
        (("orders_ever >= 1", "orders_ever >= 1 or views_30d > 2"), "joined by 'and'"),
        (("horizon: 90d", "horizon: 90"), "such as 90d or 12w"),
        (("horizon: 90d", "horizon: 0d"), "between 1d"),
        (("horizon: 90d", "horizon: 90d\nhorizon: 30d"), "given twice"),
        (("folds: auto", "folds: 0"), "'auto' or a whole number"),
        (("[rfm, windows, trends]", "[rfm, window]"), "did you mean 'windows'"),
        (("[rfm, windows, trends]", "[rfm, rfm]"), "named twice"),
        (("{type: mlp}", "mlp"), "mapping with a 'type'"),
        (("name: churn_90d\n", ""), "name: it is required"),
        (("name: churn_90d", "name: ../x"), "lower case letters"),
        (("name: churn_90d", "{"), "not YAML"),
        (("kind: churn", "kind: image_class"), "needs a `source"),
        (("horizon: 90d", "horizon: 90d\nsource: {images: x}"), "about images or a table stands"),
    ],
)
def test_a_mistake_is_refused_by_name_with_what_would_be_right(change, message):
    assert change[0] in CHURN
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        parse_prediction(CHURN.replace(*change))
    assert caught.value.reason == "PREDICTION_FILE_INVALID"


@pytest.mark.parametrize(
    ("target", "awaited"),
    [
        ("{kind: churn}", ""),
        ("{kind: churn, absent: order}", ""),
        ("{kind: churn, absent: event}", "event"),
        ("{kind: churn, absent: Product Viewed}", "Product Viewed"),
        ("{kind: event, happens: Signed Up}", "Signed Up"),
        ("{kind: event, happens: order}", "order"),
        ("{kind: purchase}", ""),
        ("{kind: next_order}", "order"),
    ],
)
def test_a_target_says_what_is_waited_for(target, awaited):
    question = parse_prediction(CHURN.replace("{kind: churn}", target))
    assert question.target.awaited == awaited


def test_conditions_are_joined_by_and():
    question = parse_prediction(CHURN.replace(">= 1", ">= 2 and recency_days < 365.5"))
    assert question.eligible.conditions == (
        Condition("orders_ever", ">=", 2.0),
        Condition("recency_days", "<", 365.5),
    )
    assert str(question.eligible) == "orders_ever >= 2 and recency_days < 365.5"


def test_a_missing_value_never_makes_eligible():
    assert not Condition("recency_days", "<", 10.0).holds(float("nan"))
