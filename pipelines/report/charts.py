"""The charts of a report: rows for the specs, and what each shows in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pipelines.report import numbers, specs
from pipelines.report.draw import svg
from pipelines.report.findings import Findings, SalesBar
from pipelines.report.inputs import ReportInputs
from pipelines.report.quality import MODELS, Quality

WIDE, HALF, NARROW = 940, 470, 360

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Chart:
    """A chart drawn for wide and for narrow pages; `narrow` is empty where one serves both."""

    wide: Markup
    narrow: Markup
    description: str


def sales_chart(inputs: ReportInputs, findings: Findings) -> Chart:
    """What is expected beside what was sold before."""
    rows = [
        {"window": bar.label, "part": part, "amount": amount / 1e6, "order": order}
        for bar in findings.sales
        for order, (part, amount) in enumerate(_parts(bar))
        if amount is not None
    ]
    told = "; ".join(
        f"{bar.label}: {numbers.money(bar.total_micros, inputs.currency)}" for bar in findings.sales
    )
    return _both(
        "sales", lambda width: specs.sales(rows, inputs.currency, width), f"Gross sales. {told}."
    )


def month_chart(inputs: ReportInputs, partial: frozenset[str]) -> Chart:
    """Gross sales of the last three years by month."""
    months = inputs.totals.months[-36:]
    rows = [
        {
            "month": numbers.month(each.month),
            "amount": each.gross_micros / 1e6,
            "part": "part of a month" if each.month in partial else "whole month",
        }
        for each in months
    ]
    best = max(months, key=lambda each: each.gross_micros)
    told = (
        f"Gross sales by month from {numbers.month(months[0].month)} to "
        f"{numbers.month(months[-1].month)}; most in {numbers.month(best.month)} with "
        f"{numbers.money(best.gross_micros, inputs.currency)}."
    )
    return _both("months", lambda width: specs.months(rows, inputs.currency, width), told)


def histogram_chart(findings: Findings) -> Chart:
    """How customers spread over probabilities."""
    counts = findings.histogram
    half = len(counts) // 2
    told = (
        f"Customers by probability to order: {numbers.count(sum(counts[:half]))} below 50%, "
        f"{numbers.count(sum(counts[half:]))} at 50% or above."
    )
    return _one("histogram", specs.histogram(counts, HALF), told)


def segment_chart(rows: Sequence[Row], name: str = "segments") -> Chart:
    """Share of customers beside share of expected spend; `segment`, `customers`, `spend`."""
    flat = [
        {"segment": row["segment"], "measure": measure, "share": row[key]}
        for row in rows
        for measure, key in (("customers", "customers"), ("expected spend", "spend"))
    ]
    told = "; ".join(
        f"{row['segment']}: {numbers.percent(row['customers'])} of customers, "
        f"{numbers.percent(row['spend'])} of expected spend"
        for row in rows
    )
    kind = "Value segments" if name == "segments" else "Discovered segments"
    return _one(name, specs.segments(flat, HALF), f"{kind}. {told}.")


def gain_chart(quality: Quality) -> Chart:
    """Buyers found by contacting so many customers, most likely first."""
    rows = gain_rows(quality)
    third = next((row for row in rows if row["contacted"] >= 0.295), rows[-1])
    told = (
        f"Contacting the most likely {numbers.percent(third['contacted'])} of customers finds "
        f"{numbers.percent(third['found'])} of all buyers."
    )
    return _one("gain", specs.gain(rows, HALF), told)


def gain_rows(quality: Quality) -> list[dict[str, float]]:
    """Share of customers contacted and share of buyers found, after each tenth."""
    total = sum(row["users"] for row in quality.lift)
    rows, contacted = [], 0.0
    for row in quality.lift:
        contacted += row["users"]
        rows.append({"contacted": contacted / total, "found": row["gain"]})
    return rows


def lift_chart(quality: Quality) -> Chart:
    """How much more often than the average each tenth orders."""
    rows = [{"tenth": int(row["decile"]), "lift": row["lift"]} for row in quality.lift]
    told = (
        f"The most likely tenth ordered {numbers.score(rows[0]['lift'], 1)} times as often as the "
        f"average customer, the least likely tenth {numbers.score(rows[-1]['lift'], 1)} times."
    )
    return _one("lift", specs.lift(rows, HALF), told)


def calibration_chart(quality: Quality) -> Chart:
    """What was said beside what came."""
    rows = calibration_rows(quality)
    told = "; ".join(
        f"said {numbers.percent(row['predicted'])}, came {numbers.percent(row['observed'])}"
        for row in rows
    )
    return _one(
        "calibration", specs.calibration(rows, HALF), f"Calibration by tenth of customers: {told}."
    )


def calibration_rows(quality: Quality) -> list[dict[str, float]]:
    """Each bin with the range in which the share seen would lie by chance in 19 of 20 cases."""
    rows = []
    for row in quality.calibration:
        low, high = wilson(row["observed"], row["count"])
        rows.append(
            {"predicted": row["predicted"], "observed": row["observed"], "low": low, "high": high}
        )
    return rows


def model_chart(quality: Quality) -> Chart:
    """AUC of each model with its uncertainty."""
    row = next(row for row in quality.rows if row.title == "AUC")
    rows = []
    for (_, name), each in zip(MODELS, row.measures, strict=True):
        if not math.isnan(each.value):
            spread = 0.0 if math.isnan(each.error) else 1.96 * each.error
            rows.append(
                {
                    "model": name,
                    "auc": each.value,
                    "low": each.value - spread,
                    "high": min(1.0, each.value + spread),
                }
            )
    told = "; ".join(f"{row['model']} {numbers.score(row['auc'])}" for row in rows)
    return _one("models", specs.models(rows, HALF), f"AUC with its 95% range: {told}.")


def wilson(share: float, count: float, z: float = 1.96) -> tuple[float, float]:
    """Returns the range of a true share behind one seen `count` times (Wilson, 1927).

    >>> [round(end, 3) for end in wilson(0.5, 100)]
    [0.404, 0.596]
    """
    if not count:
        return 0.0, 1.0
    middle = share + z * z / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def _parts(bar: SalesBar) -> list[tuple[str, float | None]]:
    if bar.is_forecast:
        return [("expected from customers known today", bar.known_micros)]
    known = (
        "known customers, new ones too"
        if bar.new_micros is None
        else "customers known at the start"
    )
    return [
        (known, bar.known_micros),
        ("customers new in these days", bar.new_micros),
        ("orders without a customer", bar.anonymous_micros or None),
    ]


def _one(name: str, spec: specs.Spec, description: str) -> Chart:
    return Chart(svg(spec, name, description), Markup(), description)


def _both(name: str, spec: Callable[[int], specs.Spec], description: str) -> Chart:
    return Chart(
        svg(spec(WIDE), f"{name}-wide", description),
        svg(spec(NARROW), f"{name}-narrow", description),
        description,
    )
