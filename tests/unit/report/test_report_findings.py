"""Every figure is computed here a second time, another way."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from pipelines.report.customers import customers_of
from pipelines.report.findings import findings_of
from shared.errors import InvalidArgumentError


@pytest.fixture(scope="module")
def rows(inputs):
    predictions = {row["user_key"]: row for row in inputs.predictions.to_pylist()}
    history = {row["user_key"]: row for row in inputs.history.to_pylist()}
    return [row | history[key] | {"id": inputs.source_ids[key]} for key, row in predictions.items()]


@pytest.fixture(scope="module")
def findings(inputs):
    return findings_of(inputs, customers_of(inputs.predictions, inputs.history, inputs.source_ids))


def test_headline_counts_customers_who_have_ordered_and_tells_the_others_apart(findings, rows):
    buyers = [row for row in rows if row["eligible"]]
    waiting = [row for row in rows if not row["eligible"]]
    head = findings.headline
    assert (head.customer_count, head.waiting_count) == (len(buyers), len(waiting)) == (384, 16)
    assert head.expected_active == pytest.approx(sum(row["active_probability"] for row in buyers))
    assert head.expected_micros == sum(row["expected_value_micros"] for row in buyers)
    assert head.waiting_active == pytest.approx(sum(row["active_probability"] for row in waiting))
    assert head.waiting_micros == sum(row["expected_value_micros"] for row in waiting)
    variance = sum(row["active_probability"] * row["churn_probability"] for row in buyers)
    assert head.active_spread == pytest.approx(math.sqrt(variance))


def test_segments_add_up_to_all_customers_and_all_spend(findings, rows):
    head = findings.headline
    assert sum(each.counted for each in findings.segments) == head.customer_count
    assert sum(each.expected_micros for each in findings.segments) == head.expected_micros
    assert sum(each.expected_count for each in findings.segments) == pytest.approx(
        head.customer_count
    )
    for number, each in enumerate(findings.segments):
        members = [
            row
            for row in rows
            if row["eligible"]
            and max(range(4), key=row["segment_probabilities"].__getitem__) == number
        ]
        assert each.counted == len(members)
        assert each.mean_probability == pytest.approx(
            np.mean([row["active_probability"] for row in members])
        )


def test_histogram_counts_every_customer_once(findings, rows):
    assert sum(findings.histogram) == findings.headline.customer_count
    lowest = sum(row["eligible"] and row["active_probability"] < 0.05 for row in rows)
    assert findings.histogram[0] == lowest


def test_last_window_is_split_into_known_new_and_anonymous(findings):
    _, last, before = findings.sales
    assert (last.known_micros, last.new_micros, last.anonymous_micros) == (
        73_500_000_000,
        83_400_000_000 - 1_650_000_000 - 73_500_000_000,
        1_650_000_000,
    )
    assert last.total_micros == 83_400_000_000
    assert (before.known_micros, before.new_micros) == (85_700_000_000, None)
    assert before.total_micros == 87_800_000_000


def test_last_window_is_not_split_when_the_test_window_is_another(inputs):
    fold = inputs.evaluation["fold"] | {"test_as_of": "2025-03-20T00:00:00+00:00"}
    other = replace(inputs, evaluation={**inputs.evaluation, "fold": fold})
    customers = customers_of(inputs.predictions, inputs.history, inputs.source_ids)
    findings = findings_of(other, customers)
    assert not findings.backtest.is_last_window
    assert findings.sales[1].new_micros is None
    assert findings.sales[1].known_micros == 83_400_000_000 - 1_650_000_000


def test_windows_without_history_are_left_out(short_inputs):
    customers = customers_of(
        short_inputs.predictions, short_inputs.history, short_inputs.source_ids
    )
    labels = [bar.label for bar in findings_of(short_inputs, customers).sales]
    assert labels == ["Next 90 days", "Last 90 days"]


def test_window_ends_at_midnight_across_daylight_saving(inputs):
    as_of = datetime(2011, 9, 9, 23, tzinfo=UTC)  # midnight in London, still summer
    local = replace(inputs, as_of_time=as_of, time_zone="Europe/London")
    customers = customers_of(inputs.predictions, inputs.history, inputs.source_ids)
    end = findings_of(local, customers).end_time
    assert end == datetime(2011, 12, 9, tzinfo=UTC)
    assert end - as_of == timedelta(days=90, hours=1)


def test_customers_lie_in_the_order_of_their_ids_whatever_their_keys(inputs, rows):
    customers = customers_of(inputs.predictions, inputs.history, inputs.source_ids)
    expected = sorted(rows, key=lambda row: row["id"])
    assert customers.ids.tolist() == [row["id"] for row in expected]
    assert customers.active.tolist() == [row["active_probability"] for row in expected]
    assert customers.past_micros.tolist() == [row["gross_micros"] for row in expected]


def test_spend_after_refunds_counts_where_it_is_known(inputs):
    net = pa.array(np.arange(inputs.history.num_rows))
    history = inputs.history.append_column("net_micros", net)
    customers = customers_of(inputs.predictions, history, inputs.source_ids)
    assert customers.past_micros.tolist() == list(range(inputs.history.num_rows))


def test_a_key_the_vault_does_not_know_shows_as_a_pseudonym(inputs):
    key = inputs.predictions["user_key"][0].as_py()
    ids = {each: name for each, name in inputs.source_ids.items() if each != key}
    customers = customers_of(inputs.predictions, inputs.history, ids)
    assert f"pseudonym-{key:016x}" in customers.ids


def test_history_of_other_customers_is_refused(inputs):
    with pytest.raises(InvalidArgumentError, match="one row for each user_key"):
        customers_of(inputs.predictions, inputs.history.slice(1), inputs.source_ids)
