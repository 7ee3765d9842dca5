"""Audiences follow their rules, share nobody, and leave as CSV that a spreadsheet reads."""

import csv
import io

import numpy as np
import pytest

from pipelines.report.audiences import audiences_of
from pipelines.report.contacts import (
    COLUMNS,
    SEGMENTS,
    contacts_csv,
    contacts_of,
    safe_cell,
)
from pipelines.report.customers import customers_of, reasons_of


@pytest.fixture(scope="module")
def customers(inputs):
    return customers_of(inputs.predictions, inputs.history, inputs.source_ids)


@pytest.fixture(scope="module")
def audiences(customers):
    return {each.name: each for each in audiences_of(customers, 90)}


def test_nobody_is_in_two_audiences_and_nobody_is_ineligible(customers, audiences):
    places = np.concatenate([each.members for each in audiences.values()])
    assert len(places) == len(set(places.tolist())) > 0
    assert customers.is_eligible[places].all()


def test_valuable_at_risk_are_top_spenders_below_the_average(customers, audiences):
    spenders = [
        spend
        for spend, ok in zip(customers.past_micros, customers.is_eligible, strict=True)
        if ok and spend > 0
    ]
    limit = np.quantile(spenders, 0.8)
    average = customers.active[customers.is_eligible].mean()
    expected = {
        place
        for place in range(len(customers))
        if customers.is_eligible[place]
        and customers.past_micros[place] >= limit
        and customers.active[place] < average
    }
    assert set(audiences["valuable_at_risk"].members.tolist()) == expected
    members = audiences["valuable_at_risk"].members
    at_risk = customers.past_micros[members] * (1 - customers.active[members])
    assert (np.diff(at_risk) <= 0).all()


def test_likely_to_buy_are_in_the_top_fifth_by_expected_spend(customers, audiences):
    members = audiences["likely_to_buy"].members
    assert (customers.percentile[members] >= 80).all()
    assert (np.diff(customers.value_micros[members]) <= 0).all()


def test_second_order_is_of_customers_with_one_recent_order(customers, audiences):
    members = audiences["second_order"].members
    assert (customers.order_count[members] == 1).all()
    assert (customers.recency_days[members] <= 30).all()


def test_win_back_is_of_good_customers_long_quiet(customers, audiences):
    members = audiences["win_back"].members
    assert (customers.recency_days[members] > 90).all()
    assert (customers.past_micros[members] > 0).all()


def test_no_eligible_customer_makes_every_audience_empty(inputs):
    predictions = inputs.predictions.set_column(
        inputs.predictions.column_names.index("eligible"),
        "eligible",
        [[False] * inputs.predictions.num_rows],
    )
    nobody = customers_of(predictions, inputs.history, inputs.source_ids)
    assert all(len(each.members) == 0 for each in audiences_of(nobody, 90))


def test_csv_says_of_each_contact_what_the_predictions_say(inputs, customers, audiences):
    by_id = {inputs.source_ids[row["user_key"]]: row for row in inputs.predictions.to_pylist()}
    contacts = [
        each for audience in audiences.values() for each in contacts_of(customers, audience)
    ]
    rows = list(csv.DictReader(io.StringIO(contacts_csv(contacts))))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == sum(len(each.members) for each in audiences.values())
    for row in rows:
        said = by_id[row["user"]]
        assert float(row["probability"]) == pytest.approx(said["active_probability"], abs=5e-5)
        assert float(row["percentile"]) == pytest.approx(said["percentile"], abs=0.05)
        assert float(row["expected_value"]) == pytest.approx(
            said["expected_value_micros"] / 1e6, abs=0.005
        )
        assert row["segment"] == SEGMENTS[int(np.argmax(said["segment_probabilities"]))]


def test_ranks_start_at_one_in_each_audience(customers, audiences):
    for audience in audiences.values():
        ranks = [each.rank for each in contacts_of(customers, audience)]
        assert ranks == list(range(1, len(audience.members) + 1))


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+cmd", "-2+3", "@SUM(1)", "\tx"])
def test_an_id_that_a_spreadsheet_would_run_is_made_harmless(text):
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["12346.0", "-17", "ana@example.org", "customer-1", ""])
def test_ordinary_ids_stay_as_they_are(text):
    assert safe_cell(text) == text


def test_reasons_are_told_by_direction_and_keep_their_order():
    text = (
        '[{"feature":"a","text":"one","contribution":-2.0},'
        '{"feature":"b","text":"two","contribution":1.0},'
        '{"feature":"c","text":"three","contribution":0.5}]'
    )
    reasons = reasons_of(text)
    assert (reasons.raising, reasons.lowering) == (("two", "three"), ("one",))
    assert reasons_of("[]").raising == ()
