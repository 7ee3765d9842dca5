"""The part of the report on next orders says what is foreseen of them, and adds up."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.next_orders import WEEKS
from pipelines.report import write_report
from pipelines.report.customers import customers_of
from pipelines.report.due import LATE, LEAST_ORDERS, due_block


@pytest.fixture(scope="module")
def customers(inputs):
    return customers_of(inputs.predictions, inputs.history, inputs.source_ids)


@pytest.fixture(scope="module")
def block(inputs, customers):
    return due_block(inputs, customers)


def test_every_customer_who_is_asked_about_is_due_once(inputs, block):
    assert sum(each.customers for each in block.groups) == inputs.due.orders.eligible.sum()
    assert sum(each.share for each in block.groups) == pytest.approx(1)


def test_expected_orders_of_all_weeks_are_those_of_their_days(inputs):
    orders = inputs.due.orders
    days = 7 * WEEKS
    expected = orders.chances[orders.eligible][:, -1].sum() * days / inputs.horizon_days
    assert orders.by_week().sum() == pytest.approx(expected)


def test_the_soonest_come_first_with_days_that_hold_eight_orders_in_ten(inputs, block):
    soonest = block.tables[0]
    orders = inputs.due.orders
    by = np.sort(orders.days(0.5)[orders.eligible])
    assert soonest.size == np.isfinite(by).sum()
    assert [each.probability for each in soonest.top] == sorted(
        (each.probability for each in soonest.top), reverse=True
    )
    first = soonest.top[0]
    assert first.between == "10 July 2025 to 26 September 2025"
    assert first.by.endswith("August 2025")
    assert any(each.reasons.raising for each in soonest.top)


def test_who_is_quiet_for_twice_the_usual_pause_is_overdue(inputs, block, customers):
    overdue = block.tables[1]
    places = {user: place for place, user in enumerate(customers.ids.tolist())}
    assert overdue.size > 8
    for each in overdue.top:
        assert each.recency_days > LATE * each.usual_gap_days
        assert customers.order_count[places[each.user]] >= LEAST_ORDERS
    assert f"{overdue.size} customers with at least 3 orders are overdue" in " ".join(
        block.sentences
    )


def test_the_weeks_ahead_stand_beside_last_year_and_the_window_before(block):
    text = " ".join(block.sentences)
    assert "in the same weeks of last year, from 6 July 2024, it was 33% of 200" in text
    assert "and in the window before, from 2 April 2025, it was 41% of 350" in text
    assert "last year: 0, 1, 2, 3" in block.weeks.description


def test_without_a_year_of_history_only_the_window_before_is_named(inputs, customers):
    block = due_block(replace(inputs, due=replace(inputs.due, year_ago=None)), customers)
    assert "last year" not in block.weeks.description + " ".join(block.sentences)


def test_a_report_without_next_orders_says_nothing_of_them(inputs, tmp_path):
    bare = write_report(replace(inputs, due=None), tmp_path)
    assert "Next orders" not in bare.report_path.read_text(encoding="utf-8")
