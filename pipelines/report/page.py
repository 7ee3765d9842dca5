"""Puts figures, charts and sentences into one page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipelines.report import charts, numbers
from pipelines.report.audiences import Audience
from pipelines.report.charts import Chart
from pipelines.report.contacts import contacts_of
from pipelines.report.customers import Customers
from pipelines.report.discovered import block_of
from pipelines.report.due import due_block
from pipelines.report.findings import Findings
from pipelines.report.inputs import ReportInputs
from pipelines.report.quality import MODELS, Quality
from pipelines.report.words import GLOSSARY, history_days, words_of

TEMPLATES = Path(__file__).parent / "templates"
TOP = 8

# A first month that starts by its third day is whole: shops rest on the first of January.
_WHOLE_FROM_DAY = 3


def page(
    inputs: ReportInputs,
    customers: Customers,
    findings: Findings,
    quality: Quality,
    audiences: Sequence[Audience],
) -> str:
    """Returns the report as one HTML document that needs nothing but itself."""
    environment = _environment(inputs)
    segments = segment_rows(inputs, findings)
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    rendered: str = environment.get_template("report.html.j2").render(
        inputs=inputs,
        horizon=inputs.horizon_days,
        last_day=findings.end_time - timedelta(milliseconds=1),
        findings=findings,
        headline=findings.headline,
        quality=quality,
        words=words_of(inputs, findings, quality, audiences),
        audiences=[_audience(customers, each) for each in audiences],
        contact_count=sum(len(each.members) for each in audiences),
        segments=segments,
        discovered=block_of(inputs),
        due=due_block(inputs, customers),
        deciles=decile_rows(quality),
        data_rows=_data_rows(inputs),
        model_titles=[title for _, title in MODELS],
        glossary=GLOSSARY,
        charts=_charts(inputs, findings, quality, segments),
        style=Markup(style),
    )
    return rendered


def segment_rows(inputs: ReportInputs, findings: Findings) -> list[dict[str, Any]]:
    """Returns the value segments as rows of a table, with shares of customers and of spend."""
    low, high = (
        numbers.money(limit, inputs.currency) for limit in inputs.model.segment_limits_micros
    )
    titles = (
        ("Nothing", "no order"),
        ("Low", f"up to {low}"),
        ("Middle", f"{low} to {high}"),
        ("High", f"above {high}"),
    )
    head = findings.headline
    return [
        {
            "title": title,
            "rule": rule,
            "counted": each.counted,
            "expected_count": each.expected_count,
            "mean_probability": each.mean_probability,
            "expected_micros": each.expected_micros,
            "customer_share": _share(each.counted, head.customer_count),
            "value_share": _share(each.expected_micros, head.expected_micros),
        }
        for (title, rule), each in zip(titles, findings.segments, strict=True)
    ]


def decile_rows(quality: Quality) -> list[dict[str, float]]:
    """Returns the tenths of the test window with their share of all spend."""
    spend = sum(row["spend"] for row in quality.lift)
    return [
        {**row, "decile": int(row["decile"]), "spend_share": _share(row["spend"], spend)}
        for row in quality.lift
    ]


def _environment(inputs: ReportInputs) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "count": numbers.count,
        "money": partial(numbers.money, currency=inputs.currency),
        "percent": numbers.percent,
        "probability": numbers.probability,
        "score": numbers.score,
        "days": numbers.days,
        "date": partial(numbers.date, zone=inputs.time_zone),
        "day_before": partial(numbers.day_before, zone=inputs.time_zone),
    }
    environment.filters.update(filters)
    return environment


def _audience(customers: Customers, audience: Audience) -> dict[str, Any]:
    places = audience.members
    return {
        "title": audience.title,
        "rule": audience.rule,
        "advice": audience.advice,
        "size": len(places),
        "mean_probability": float(customers.active[places].mean()) if len(places) else math.nan,
        "value_micros": int(customers.value_micros[places].sum()),
        "past_micros": int(customers.past_micros[places].sum()),
        "top": list(contacts_of(customers, audience, TOP)),
    }


def _charts(
    inputs: ReportInputs,
    findings: Findings,
    quality: Quality,
    segments: Sequence[dict[str, Any]],
) -> dict[str, Chart | None]:
    shares = [
        {
            "segment": row["title"],
            "customers": row["customer_share"],
            "spend": row["value_share"],
        }
        for row in segments
    ]
    has_segments = bool(findings.headline.customer_count and findings.headline.expected_micros)
    has_auc = any(row.title == "AUC" for row in quality.rows)
    has_months = len(inputs.totals.months) > 1
    return {
        "sales": charts.sales_chart(inputs, findings),
        "months": charts.month_chart(inputs, partial_months(inputs)) if has_months else None,
        "histogram": charts.histogram_chart(findings),
        "segments": charts.segment_chart(shares) if has_segments else None,
        "gain": charts.gain_chart(quality) if quality.lift else None,
        "lift": charts.lift_chart(quality) if quality.lift else None,
        "calibration": charts.calibration_chart(quality) if quality.calibration else None,
        "models": charts.model_chart(quality) if has_auc else None,
    }


def partial_months(inputs: ReportInputs) -> frozenset[str]:
    """Returns the months, as YYYY-MM, of which the data hold only a part."""
    zone = ZoneInfo(inputs.time_zone)
    cut = {inputs.as_of_time.astimezone(zone).strftime("%Y-%m")}
    if inputs.totals.first_event_time is not None:
        first = inputs.totals.first_event_time.astimezone(zone)
        if first.day > _WHOLE_FROM_DAY:
            cut.add(first.strftime("%Y-%m"))
    return frozenset(cut)


def _data_rows(inputs: ReportInputs) -> list[tuple[str, str]]:
    totals = inputs.totals
    checked = inputs.scoring
    amount = partial(numbers.money, currency=inputs.currency)
    rows = [
        ("Events", numbers.count(totals.event_count)),
        ("Days of history", numbers.count(history_days(inputs))),
        ("Known customers", numbers.count(totals.user_count)),
        ("Orders", numbers.count(totals.order_count)),
        ("… without a customer", numbers.count(totals.anonymous_order_count)),
        ("Gross sales", amount(totals.gross_micros)),
        ("… without a customer", amount(totals.anonymous_gross_micros)),
        ("Net sales", amount(totals.net_micros)),
    ]
    if totals.line_count:
        rows += [
            ("Order lines", numbers.count(totals.line_count)),
            ("… without a customer", numbers.count(totals.anonymous_line_count)),
        ]
    rows.append(("Events kept back", numbers.count(totals.rejected_count)))
    doubled = checked.event_count - checked.unique_event_count
    rows.append(("Events counted twice", numbers.count(doubled)))
    return rows


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
