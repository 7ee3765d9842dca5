"""Sentences say what the figures say, also when figures are few, bad or missing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pipelines.report import numbers
from pipelines.report.audiences import audiences_of
from pipelines.report.charts import calibration_rows, gain_rows, wilson
from pipelines.report.customers import customers_of
from pipelines.report.findings import findings_of
from pipelines.report.page import decile_rows, partial_months, segment_rows
from pipelines.report.quality import quality_of
from pipelines.report.words import words_of


def words(inputs):
    customers = customers_of(inputs.predictions, inputs.history, inputs.source_ids)
    return words_of(
        inputs,
        findings_of(inputs, customers),
        quality_of(inputs.evaluation),
        audiences_of(customers, inputs.horizon_days),
    )


def with_auc(inputs, value, low, high):
    metrics = inputs.evaluation["metrics"]
    model = metrics["model"] | {"auc": {"value": value, "se": 0.01}}
    comparison = {
        "metric": "auc",
        "baseline": "logistic_regression",
        "difference": (low + high) / 2,
        "se": 0.01,
        "low": low,
        "high": high,
    }
    return replace(
        inputs,
        evaluation={
            **inputs.evaluation,
            "metrics": {**metrics, "model": model},
            "comparisons": [comparison],
        },
    )


def test_lead_names_customers_and_money(inputs):
    lead = words(inputs).lead
    rows = [row for row in inputs.predictions.to_pylist() if row["eligible"]]
    active = round(sum(row["active_probability"] for row in rows))
    spend = sum(row["expected_value_micros"] for row in rows)
    assert f"{active} of 384 customers" in lead
    assert lead.endswith(f"spending ${spend / 1e6:,.0f}.")


def test_backtest_says_by_how_much_the_method_was_off(inputs):
    said = next(each for each in words(inputs).forecast if "Asked the same" in each)
    assert "on 2 April 2025" in said
    assert "$70,000" in said
    assert "$73,500 came" in said
    assert "4% too much for customers and 5% too little for spend" in said


def test_sales_beyond_known_customers_are_pointed_out(inputs):
    beyond = (83_400 - 73_500) / 83_400
    assert any(f"made {beyond:.0%} of all sales" in each for each in words(inputs).forecast)


@pytest.mark.parametrize(
    ("value", "word"),
    [(0.93, "Excellent"), (0.8, "Very good"), (0.79, "Good"), (0.65, "Fair"), (0.5, "Weak")],
)
def test_quality_in_a_word_follows_the_auc(inputs, value, word):
    assert words(with_auc(inputs, value, -0.01, 0.01)).quality[0].startswith(f"{word}:")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.03, "better than the logistic regression, and not by chance"),
        (-0.01, 0.02, "as good as the logistic regression: the difference could be chance"),
        (-0.03, -0.01, "behind the logistic regression, and not by chance"),
    ],
)
def test_a_comparison_is_worded_by_its_range(inputs, low, high, verdict):
    assert any(verdict in each for each in words(with_auc(inputs, 0.8, low, high)).quality)


def test_a_season_is_claimed_only_with_two_years_of_history(inputs):
    totals = inputs.totals
    long = replace(totals, first_event_time=inputs.as_of_time - timedelta(days=900))
    assert "each season was seen once at most" in words(inputs).warnings[0]
    assert words(replace(inputs, totals=long)).warnings == ()


def test_a_total_missed_by_much_is_a_warning(inputs):
    forecast = inputs.evaluation["forecast"] | {"predicted_spend_micros": 97_755_000_000}
    missed = replace(inputs, evaluation={**inputs.evaluation, "forecast": forecast})
    assert "was 33% off on total spend, and less came" in words(missed).warnings[0]
    assert not any("off on total spend" in each for each in words(inputs).warnings)


def test_rejects_and_anonymous_sales_are_told(inputs):
    said = words(inputs).data
    assert "312 orders (2% of gross sales) name no customer" in said
    assert "14 events were kept back" in said


def test_a_model_without_baselines_has_no_best_one(inputs):
    metrics = {"model": inputs.evaluation["metrics"]["model"]}
    quality = quality_of({**inputs.evaluation, "metrics": metrics})
    assert all(row.best is None for row in quality.rows)


def test_the_best_model_is_the_lowest_where_less_is_better(inputs):
    rows = {row.title: row for row in quality_of(inputs.evaluation).rows}
    assert rows["AUC"].best == 0
    assert rows["Log loss"].best == 1


def test_a_metric_that_came_as_null_is_a_dash(inputs):
    metrics = {"model": {"auc": {"value": None, "se": None}}}
    assert quality_of({"metrics": metrics}).rows == ()


def test_gain_reaches_everybody_at_the_end(inputs):
    rows = gain_rows(quality_of(inputs.evaluation))
    assert rows[-1]["contacted"] == pytest.approx(1)
    assert rows[-1]["found"] == pytest.approx(1)
    assert rows[2]["found"] == pytest.approx((0.82 + 0.64 + 0.47) / 3.06)


def test_calibration_range_holds_the_share_seen(inputs):
    for row in calibration_rows(quality_of(inputs.evaluation)):
        assert 0 <= row["low"] < row["observed"] < row["high"] <= 1


def test_wilson_range_stays_inside_at_the_ends():
    assert wilson(0.0, 10) == (0.0, pytest.approx(0.2775, abs=1e-4))
    assert wilson(1.0, 10)[1] == pytest.approx(1.0)
    assert wilson(0.5, 0) == (0.0, 1.0)


def test_shares_of_deciles_and_segments_sum_to_one(inputs):
    customers = customers_of(inputs.predictions, inputs.history, inputs.source_ids)
    segments = segment_rows(inputs, findings_of(inputs, customers))
    assert sum(row["customer_share"] for row in segments) == pytest.approx(1)
    assert sum(row["value_share"] for row in segments) == pytest.approx(1)
    assert [row["rule"] for row in segments] == [
        "no order",
        "up to $41.50",
        "$41.50 to $96.25",
        "above $96.25",
    ]
    deciles = decile_rows(quality_of(inputs.evaluation))
    assert sum(row["spend_share"] for row in deciles) == pytest.approx(1)


def test_months_cut_by_the_data_are_marked(inputs):
    assert partial_months(inputs) == {"2024-01", "2025-07"}


def test_money_rounds_into_thousands_without_odd_cents():
    assert numbers.money(999_994_000, "USD") == "$999.99"
    assert numbers.money(999_996_000, "USD") == "$1,000"
    assert numbers.money(-400, "USD") == "$0.00"
    assert numbers.money(1_500_000_000, "JPY") == "¥1,500"
    assert numbers.money(12_340_000, "CHF") == "CHF\N{NO-BREAK SPACE}12.34"
