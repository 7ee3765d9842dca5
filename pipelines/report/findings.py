"""What a report finds: every figure computed once, before anything is drawn or worded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from pipelines.report.customers import SEGMENT_COUNT, Customers
from pipelines.report.gather import shift
from pipelines.report.inputs import ReportInputs

HISTOGRAM_BINS = 20


@dataclass(frozen=True)
class Headline:
    """What happens in the window predicted.

    Attributes:
        customer_count: Customers who have ordered before; all else here is of them.
        expected_active: How many of them are expected to order.
        active_spread: Standard deviation of that number, were every probability exact.
        expected_micros: What they are expected to spend.
        waiting_count: Known customers who have not ordered yet.
        waiting_active: How many of those are expected to order, by the base rate.
        waiting_micros: What those are expected to spend.
    """

    customer_count: int
    expected_active: float
    active_spread: float
    expected_micros: int
    waiting_count: int
    waiting_active: float
    waiting_micros: int


@dataclass(frozen=True)
class Segment:
    """One value segment of the window predicted.

    Attributes:
        counted: Customers counted to it, rare segments weighing as much as common ones.
        expected_count: Customers expected in it: the sum of their probabilities.
        mean_probability: Mean probability to order of the customers counted to it.
        expected_micros: Expected spend of the customers counted to it.
    """

    counted: int
    expected_count: float
    mean_probability: float
    expected_micros: int


@dataclass(frozen=True)
class Backtest:
    """What the same method would have said of the window it was judged on, and what came.

    Attributes:
        is_last_window: Whether that window is the horizon's length right before the prediction.
    """

    test_time: datetime
    customer_count: int
    predicted_active: float
    actual_active: float
    predicted_micros: float
    actual_micros: float
    is_last_window: bool


@dataclass(frozen=True)
class SalesBar:
    """Sales of one window, by who bought; parts that nobody knows are None.

    Attributes:
        known_micros: Of identified customers; of those known at the window's start where
            `new_micros` is not None.
        new_micros: Of customers who first ordered within the window.
        anonymous_micros: Of orders without a customer.
    """

    label: str
    is_forecast: bool
    start_time: datetime
    end_time: datetime
    known_micros: float
    new_micros: float | None
    anonymous_micros: float | None

    @property
    def total_micros(self) -> float:
        """All parts that are known."""
        return self.known_micros + (self.new_micros or 0) + (self.anonymous_micros or 0)


@dataclass(frozen=True)
class Findings:
    """Every figure of a report that is not a measure of the model."""

    end_time: datetime
    headline: Headline
    segments: tuple[Segment, ...]
    histogram: tuple[int, ...]
    backtest: Backtest | None
    sales: tuple[SalesBar, ...]


def findings_of(inputs: ReportInputs, customers: Customers) -> Findings:
    """Computes all figures from the inputs."""
    end_time = shift(inputs.as_of_time, timedelta(days=inputs.horizon_days), inputs.time_zone)
    headline = _headline(customers)
    backtest = _backtest(inputs)
    return Findings(
        end_time=end_time,
        headline=headline,
        segments=_segments(customers),
        histogram=_histogram(customers),
        backtest=backtest,
        sales=_sales(inputs, headline, backtest, end_time),
    )


def _headline(customers: Customers) -> Headline:
    is_in = customers.is_eligible
    active = customers.active[is_in]
    return Headline(
        customer_count=int(is_in.sum()),
        expected_active=float(active.sum()),
        active_spread=float(np.sqrt((active * (1 - active)).sum())),
        expected_micros=int(customers.value_micros[is_in].sum()),
        waiting_count=int((~is_in).sum()),
        waiting_active=float(customers.active[~is_in].sum()),
        waiting_micros=int(customers.value_micros[~is_in].sum()),
    )


def _segments(customers: Customers) -> tuple[Segment, ...]:
    is_in = customers.is_eligible
    probabilities, active = customers.segments[is_in], customers.active[is_in]
    segment = customers.segment[is_in]
    value = customers.value_micros[is_in]
    return tuple(
        Segment(
            counted=int((segment == number).sum()),
            expected_count=float(probabilities[:, number].sum()),
            mean_probability=_mean(active[segment == number]),
            expected_micros=int(value[segment == number].sum()),
        )
        for number in range(SEGMENT_COUNT)
    )


def _histogram(customers: Customers) -> tuple[int, ...]:
    """How many eligible customers have a probability in each of equal bins of [0, 1]."""
    active = customers.active[customers.is_eligible]
    bins = np.minimum((active * HISTOGRAM_BINS).astype(np.int64), HISTOGRAM_BINS - 1)
    return tuple(np.bincount(bins, minlength=HISTOGRAM_BINS).tolist())


def _backtest(inputs: ReportInputs) -> Backtest | None:
    fold: Mapping[str, Any] = inputs.evaluation.get("fold", {})
    forecast: Mapping[str, Any] | None = inputs.evaluation.get("forecast")
    if not forecast or "test_as_of" not in fold:
        return None
    test_time = datetime.fromisoformat(fold["test_as_of"])
    test_end = shift(test_time, timedelta(days=inputs.horizon_days), inputs.time_zone)
    return Backtest(
        test_time=test_time,
        customer_count=int(fold["row_count"]),
        predicted_active=float(forecast["predicted_active"]),
        actual_active=float(forecast["actual_active"]),
        predicted_micros=float(forecast["predicted_spend_micros"]),
        actual_micros=float(forecast["actual_spend_micros"]),
        # Windows are exact days apart in UTC or in the zone; an hour of daylight saving is no gap.
        is_last_window=abs(test_end - inputs.as_of_time) < timedelta(hours=2),
    )


def _sales(
    inputs: ReportInputs, headline: Headline, backtest: Backtest | None, end_time: datetime
) -> tuple[SalesBar, ...]:
    bars = [
        SalesBar(
            label=f"Next {inputs.horizon_days} days",
            is_forecast=True,
            start_time=inputs.as_of_time,
            end_time=end_time,
            known_micros=headline.expected_micros,
            new_micros=None,
            anonymous_micros=None,
        )
    ]
    if (last := inputs.last_window) is not None:
        identified = last.gross_micros - last.anonymous_gross_micros
        known = backtest.actual_micros if backtest and backtest.is_last_window else None
        bars.append(
            SalesBar(
                label=f"Last {inputs.horizon_days} days",
                is_forecast=False,
                start_time=last.start_time,
                end_time=last.end_time,
                known_micros=identified if known is None else known,
                new_micros=None if known is None else identified - known,
                anonymous_micros=last.anonymous_gross_micros,
            )
        )
    if (before := inputs.year_ago_window) is not None:
        bars.append(
            SalesBar(
                label="Same days last year",
                is_forecast=False,
                start_time=before.start_time,
                end_time=before.end_time,
                known_micros=before.gross_micros - before.anonymous_gross_micros,
                new_micros=None,
                anonymous_micros=before.anonymous_gross_micros,
            )
        )
    return tuple(bars)


def _mean(values: np.ndarray[Any, Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")
