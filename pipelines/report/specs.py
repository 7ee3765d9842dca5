"""Charts as Vega-Lite specs: plain data that a page, a report and a notebook can all draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]

INK, MUTED, GRID = "#1f2d3a", "#566573", "#e6e2d8"
TEAL, TEAL_SOFT, SAND, CORAL = "#0f766e", "#8cc9c1", "#d8cdb8", "#b4472b"
_APART = (TEAL, CORAL, "#c9a227", "#4b6aa8", "#7a5195", "#8cc9c1", "#6b7a3a", "#a88f74")
"""Colours that tell up to eight groups apart, also for most people who see colours otherwise."""
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"

_CONFIG: Spec = {
    "background": "transparent",
    "font": FONT,
    "padding": 4,
    "autosize": {"type": "fit-x", "contains": "padding"},
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "gridColor": GRID,
        "domainColor": "#bdb6a6",
        "tickColor": "#bdb6a6",
        "ticks": False,
        "labelPadding": 6,
    },
    "legend": {
        "labelColor": INK,
        "labelFontSize": 12,
        "title": None,
        "orient": "top",
        "symbolType": "square",
        "offset": 8,
    },
    "bar": {"cornerRadiusEnd": 2},
}


def sales(rows: Sequence[Mapping[str, Any]], currency: str, width: int) -> Spec:
    """Stacked bars: `window`, `part`, `amount` in currency units, `order` of the part."""
    parts = list(dict.fromkeys(row["part"] for row in sorted(rows, key=lambda row: row["order"])))
    colours = {
        "expected from customers known today": TEAL,
        "customers known at the start": TEAL_SOFT,
        "known customers, new ones too": "#abc3a0",
        "customers new in these days": "#c9b37e",
        "orders without a customer": SAND,
    }
    return _chart(
        rows,
        width=width,
        height={"step": 46},
        mark={"type": "bar", "height": 28},
        encoding={
            "y": {
                "field": "window",
                "type": "nominal",
                "sort": None,
                "axis": _axis(None, grid=False),
            },
            "x": {
                "field": "amount",
                "type": "quantitative",
                "axis": _axis(f"Gross sales ({currency})", format="~s", tickCount=5),
            },
            "color": {
                "field": "part",
                "type": "nominal",
                "scale": {"domain": parts, "range": [colours[part] for part in parts]},
                "legend": {"columns": 1 if width < 500 else 2, "labelLimit": 320},
            },
            "order": {"field": "order", "type": "quantitative"},
        },
    )


def months(rows: Sequence[Mapping[str, Any]], currency: str, width: int) -> Spec:
    """Bars of gross sales: `month`, `amount` in currency units, `part` (whole or part month)."""
    every = max(1, -(-len(rows) // (width // 62)))
    labels = [row["month"] for row in rows][::every]
    return _chart(
        rows,
        width=width,
        height=210,
        mark={"type": "bar"},
        encoding={
            "x": {
                "field": "month",
                "type": "ordinal",
                "sort": None,
                "scale": {"paddingInner": 0.25},
                "axis": _axis(None, grid=False, labelAngle=0, values=labels, labelOverlap=False),
            },
            "y": {
                "field": "amount",
                "type": "quantitative",
                "axis": _axis(f"Gross sales ({currency})", format="~s", tickCount=5),
            },
            "color": {
                "field": "part",
                "type": "nominal",
                "scale": {
                    "domain": ["whole month", "part of a month"],
                    "range": [TEAL_SOFT, SAND],
                },
            }
            if any(row["part"] != "whole month" for row in rows)
            else {"value": TEAL_SOFT},
        },
    )


def histogram(counts: Sequence[int], width: int) -> Spec:
    """How many customers have which probability, in equal bins of [0, 1]."""
    step = 1 / len(counts)
    rows = [
        {"low": (index + 0.04) * step, "high": (index + 0.96) * step, "customers": count, "zero": 0}
        for index, count in enumerate(counts)
    ]
    return _chart(
        rows,
        width=width,
        height=230,
        mark={"type": "rect", "color": TEAL},
        encoding={
            "x": {
                "field": "low",
                "type": "quantitative",
                "scale": {"domain": [0, 1]},
                "axis": _axis("Probability to order", format=".0%", grid=False, tickCount=5),
            },
            "x2": {"field": "high"},
            "y": {
                "field": "customers",
                "type": "quantitative",
                "axis": _axis("Customers", format="~s", tickCount=5),
            },
            "y2": {"field": "zero"},
        },
    )


def segments(rows: Sequence[Mapping[str, Any]], width: int) -> Spec:
    """Share of customers beside share of expected spend: `segment`, `measure`, `share`."""
    measures = ["customers", "expected spend"]
    return _chart(
        rows,
        width=width,
        height={"step": 22},
        mark={"type": "bar"},
        encoding={
            "y": {
                "field": "segment",
                "type": "nominal",
                "sort": None,
                "axis": _axis(None, grid=False, labelFontSize=13, labelColor=INK),
            },
            "yOffset": {"field": "measure", "type": "nominal", "sort": measures},
            "x": {
                "field": "share",
                "type": "quantitative",
                "axis": _axis("Share of all", format=".0%", tickCount=5),
            },
            "color": {
                "field": "measure",
                "type": "nominal",
                "scale": {"domain": measures, "range": [SAND, TEAL]},
            },
        },
    )


def embedding_map(rows: Sequence[Mapping[str, Any]], names: Sequence[str], width: int) -> Spec:
    """Customers where the model places them: `x`, `y`, `segment`; axes have no unit."""
    axis = {"type": "quantitative", "axis": None, "scale": {"zero": False}}
    return _chart(
        rows,
        width=width,
        height=330,
        mark={"type": "circle", "size": 16, "opacity": 0.7},
        encoding={
            "x": axis | {"field": "x"},
            "y": axis | {"field": "y"},
            "color": {
                "field": "segment",
                "type": "nominal",
                "scale": {"domain": list(names), "range": list(_APART[: len(names)])},
                "legend": {"columns": 2, "labelLimit": 200, "symbolType": "circle"},
            },
        },
    )


def weeks(rows: Sequence[Mapping[str, Any]], names: Sequence[str], width: int) -> Spec:
    """Customers by the week of their next order: `week`, `customers`, `what` (one of the names)."""
    return _chart(
        rows,
        width=width,
        height=230,
        mark={"type": "line", "strokeWidth": 2.5, "point": {"filled": True, "size": 42}},
        encoding={
            "x": {
                "field": "week",
                "type": "ordinal",
                "axis": _axis("Week after the report", grid=False, labelAngle=0),
            },
            "y": {
                "field": "customers",
                "type": "quantitative",
                "axis": _axis("Customers whose next order comes", format="~s", tickCount=5),
            },
            "color": {
                "field": "what",
                "type": "nominal",
                "scale": {"domain": list(names), "range": [TEAL, CORAL, MUTED][: len(names)]},
            },
        },
    )


def gain(rows: Sequence[Mapping[str, Any]], width: int) -> Spec:
    """Share of all buyers found by contacting a share of customers: `contacted`, `found`."""
    axis = {"type": "quantitative", "scale": {"domain": [0, 1]}}
    x = axis | {"field": "contacted", "axis": _axis("Customers contacted", format=".0%")}
    y = axis | {"field": "found", "axis": _axis("Buyers found", format=".0%")}
    ends = [{"contacted": 0, "found": 0}, {"contacted": 1, "found": 1}]
    return _layers(
        [
            {
                "data": {"values": ends},
                "mark": {"type": "line", "color": MUTED, "strokeDash": [4, 4], "strokeWidth": 1.2},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": {"values": [ends[0], *rows]},
                "mark": {
                    "type": "line",
                    "color": TEAL,
                    "strokeWidth": 2.5,
                    "point": {"filled": True, "fill": TEAL, "size": 42},
                },
                "encoding": {"x": x, "y": y},
            },
        ],
        width=width,
        height=260,
    )


def lift(rows: Sequence[Mapping[str, Any]], width: int) -> Spec:
    """How many times the average each tenth of customers orders: `tenth`, `lift`."""
    y = {"type": "quantitative", "axis": _axis("Times the average", tickCount=5)}
    return _layers(
        [
            {
                "data": {"values": list(rows)},
                "mark": {"type": "bar", "color": TEAL},
                "encoding": {
                    "x": {
                        "field": "tenth",
                        "type": "ordinal",
                        "axis": _axis(
                            "Tenth of customers, most likely first", grid=False, labelAngle=0
                        ),
                    },
                    "y": y | {"field": "lift"},
                },
            },
            {
                "data": {"values": [{"lift": 1}]},
                "mark": {"type": "rule", "color": CORAL, "strokeDash": [4, 4]},
                "encoding": {"y": y | {"field": "lift"}},
            },
        ],
        width=width,
        height=260,
    )


def calibration(rows: Sequence[Mapping[str, Any]], width: int) -> Spec:
    """What was said beside what came, with its chance range: `predicted observed low high`."""
    top = max([0.05, *(max(row["predicted"], row["high"]) for row in rows)])
    scale = {"domain": [0, min(1.0, top * 1.05)], "nice": False}
    axis = {"type": "quantitative", "scale": scale}
    x = axis | {"field": "predicted", "axis": _axis("Probability said", format=".0%", tickCount=5)}
    y_axis = _axis("Share that ordered", format=".0%", tickCount=5)
    y = axis | {"field": "observed", "axis": y_axis}
    ends = [{"predicted": at, "observed": at} for at in scale["domain"]]  # type: ignore[attr-defined]
    return _layers(
        [
            {
                "data": {"values": ends},
                "mark": {"type": "line", "color": MUTED, "strokeDash": [4, 4], "strokeWidth": 1.2},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": {"values": list(rows)},
                "mark": {"type": "rule", "color": TEAL_SOFT, "strokeWidth": 3},
                "encoding": {
                    "x": x,
                    "y": axis | {"field": "low", "axis": y_axis},
                    "y2": {"field": "high"},
                },
            },
            {
                "data": {"values": list(rows)},
                "mark": {"type": "point", "filled": True, "color": TEAL, "size": 70, "opacity": 1},
                "encoding": {"x": x, "y": y},
            },
        ],
        width=width,
        height=260,
    )


def models(rows: Sequence[Mapping[str, Any]], width: int) -> Spec:
    """AUC of each model with two standard errors each way: `model`, `auc`, `low`, `high`."""
    low = min([0.5, *(row["low"] for row in rows)])
    high = max([0.55, *(row["high"] for row in rows)])
    x = {
        "type": "quantitative",
        "scale": {"domain": [low, min(1.0, high + 0.01)], "nice": True, "zero": False},
        "axis": _axis("AUC (0.5 is guessing, 1 is perfect)", format=".2f", tickCount=6),
    }
    y = {
        "field": "model",
        "type": "nominal",
        "sort": None,
        "axis": _axis(None, grid=False, labelFontSize=13, labelColor=INK),
    }
    colour = {
        "condition": {"test": "datum.model === 'Oriel'", "value": TEAL},
        "value": MUTED,
    }
    return _layers(
        [
            {
                "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.45},
                "encoding": {
                    "y": y,
                    "x": x | {"field": "low"},
                    "x2": {"field": "high"},
                    "color": colour,
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
                "encoding": {"y": y, "x": x | {"field": "auc"}, "color": colour},
            },
        ],
        width=width,
        height={"step": 66},
    ) | {"data": {"values": list(rows)}}


def _axis(title: str | None, *, grid: bool = True, **more: Any) -> Spec:
    return {"title": title, "grid": grid} | more


def _chart(rows: Sequence[Mapping[str, Any]], **parts: Any) -> Spec:
    return _spec({"data": {"values": list(rows)}} | parts)


def _layers(layers: Sequence[Spec], **parts: Any) -> Spec:
    return _spec({"layer": list(layers)} | parts)


def _spec(parts: Spec) -> Spec:
    return {"$schema": "https://vega.github.io/schema/vega-lite/v6.json", "config": _CONFIG} | parts
