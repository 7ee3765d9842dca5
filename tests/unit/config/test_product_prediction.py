"""Prediction files about products are read strictly."""

import pytest

from shared.config.prediction import shipped_text
from shared.config.product import parse_product_prediction
from shared.config.sources import source_of
from shared.errors import InvalidArgumentError

WHOLE = "name: a\ntarget: {kind: next_product}\nhorizon: 90d\n"


def test_the_shipped_file_asks_for_products_over_ninety_days():
    text = shipped_text("next_product")
    assert source_of(text) == "products"
    assert parse_product_prediction(text).horizon.days == 90


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WHOLE + "horizont: 1d\n", "did you mean 'horizon'"),
        (WHOLE + "eligible: orders_ever >= 1\n", "eligible.*every user gets an answer"),
        (WHOLE.replace("90d", "90"), "horizon.*days or weeks"),
        (WHOLE + "as_of: {every: 0d}\n", "as_of.every.*between 1d"),
        (WHOLE + "as_of: {gap: 1d}\n", "as_of.gap"),
        (WHOLE + "model: candidates\n", "model.*mapping with a 'type'"),
        ("name: a\ntarget: {kind: churn}\nhorizon: 90d\n", "'next_product'"),
        ("name: a\nhorizon: 90d\n", "target.*required"),
    ],
)
def test_a_mistake_is_named_with_its_field(text, said):
    with pytest.raises(InvalidArgumentError, match=said):
        parse_product_prediction(text)


def test_files_about_users_do_not_ask_for_products():
    assert source_of(shipped_text("churn_90d")) == "users"
