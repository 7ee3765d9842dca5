"""Specs are plain data: they travel as JSON, hold their rows, and stay small."""

import json

import pytest

from pipelines.report import specs
from pipelines.report.draw import svg

SALES = [
    {"window": "Next 90 days", "part": "expected from customers known today", "amount": 5.0,
     "order": 0},
    {"window": "Last 90 days", "part": "customers known at the start", "amount": 4.0, "order": 0},
    {"window": "Last 90 days", "part": "customers new in these days", "amount": 1.0, "order": 1},
    {"window": "Last 90 days", "part": "orders without a customer", "amount": 1.0, "order": 2},
    {"window": "Same days last year", "part": "known customers, new ones too", "amount": 3.0,
     "order": 0},
]  # fmt: skip
MONTHS = [
    {"month": f"{name} 2025", "amount": 10.0, "part": "whole month"} for name in ("Jan", "Feb")
]
SHARES = [
    {"segment": name, "measure": measure, "share": 0.25}
    for name in ("Nothing", "Low", "Middle", "High")
    for measure in ("customers", "expected spend")
]
CALIBRATION = [{"predicted": 0.1, "observed": 0.12, "low": 0.08, "high": 0.16}]
MODELS = [{"model": "Oriel", "auc": 0.8, "low": 0.78, "high": 0.82}]
PLACES = [{"x": 0.5, "y": -1.0, "segment": "One"}, {"x": 2.0, "y": 3.0, "segment": "Other"}]

SPECS = {
    "sales": specs.sales(SALES, "USD", 500),
    "months": specs.months(MONTHS, "USD", 500),
    "histogram": specs.histogram([5, 3, 0, 1], 400),
    "segments": specs.segments(SHARES, 400),
    "embedding_map": specs.embedding_map(PLACES, ["One", "Other"], 400),
    "gain": specs.gain([{"contacted": 0.5, "found": 0.9}, {"contacted": 1, "found": 1}], 400),
    "lift": specs.lift([{"tenth": 1, "lift": 1.8}, {"tenth": 2, "lift": 0.2}], 400),
    "calibration": specs.calibration(CALIBRATION, 400),
    "models": specs.models(MODELS, 400),
}


def rows_of(spec):
    parts = [spec, *spec.get("layer", [])]
    return [part["data"]["values"] for part in parts if "data" in part]


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_is_json_with_its_rows_inside(name):
    spec = SPECS[name]
    assert json.loads(json.dumps(spec)) == spec
    assert rows_of(spec)
    assert sum(len(rows) for rows in rows_of(spec)) < 5000
    assert '"url"' not in json.dumps(spec)


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_draws_marks_as_wide_as_asked(name):
    drawn = svg(SPECS[name], name, f"The {name} chart & its <text>")
    assert 'role="img"' in drawn
    assert f'aria-label="The {name} chart &amp; its &lt;text&gt;"' in drawn
    assert drawn.count("role=") == drawn.count("aria-") == 1
    width = float(drawn.split('width="')[1].split('"')[0])
    assert abs(width - SPECS[name]["width"]) <= 1
    assert 'd="M' in drawn.partition('class="mark-')[2]


def test_every_customer_of_the_histogram_has_a_bar():
    rows = rows_of(SPECS["histogram"])[0]
    assert [row["customers"] for row in rows] == [5, 3, 0, 1]
    assert rows[0]["low"] < rows[0]["high"] < rows[1]["low"]


def test_months_keep_their_labels_apart_in_a_narrow_chart():
    many = [MONTHS[0] | {"month": f"m{number}"} for number in range(36)]
    labels = specs.months(many, "USD", 360)["encoding"]["x"]["axis"]["values"]
    assert len(labels) <= 6
    assert labels[0] == "m0"
