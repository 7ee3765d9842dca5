"""The part of the report on next orders: who is due when, who is overdue, and the weeks ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from pipelines.next_orders import PARTS, WEEKS, Due, Floats
from pipelines.report import numbers, specs
from pipelines.report.charts import NARROW, WIDE, Chart
from pipelines.report.customers import Customers, Reasons, called, reasons_of
from pipelines.report.draw import svg
from pipelines.report.gather import shift
from pipelines.report.inputs import ReportInputs

TOP = 8
LATE = 2.0
"""Quiet for more than so many times the usual pause is overdue; one pause in seven is as long where
orders come at random."""

LEAST_ORDERS = 3
"""A pause is usual where there were two of them."""

_ENDS = (7, 14, 30, 60, 90)


@dataclass(frozen=True)
class DueGroup:
    """Customers whose even chance of an order comes within the same days."""

    title: str
    customers: int
    share: float


@dataclass(frozen=True)
class DueCustomer:
    """One customer.

    Attributes:
        by: Day by which an order has come with an even chance; a dash after the horizon.
        between: Days between which eight orders in ten come.
        probability: Of an order within a third of the horizon.
        recency_days: Since the last order.
        usual_gap_days: Mean days between orders.
        reasons: Why within the horizon, or not.
    """

    user: str
    by: str
    between: str
    probability: float
    recency_days: float
    usual_gap_days: float
    reasons: Reasons


@dataclass(frozen=True)
class DueTable:
    """Some of the customers of a list."""

    title: str
    size: int
    top: tuple[DueCustomer, ...]


@dataclass(frozen=True)
class DueBlock:
    """What the part says and shows."""

    sentences: tuple[str, ...]
    groups: tuple[DueGroup, ...]
    tables: tuple[DueTable, ...]
    weeks: Chart


def due_block(inputs: ReportInputs, customers: Customers) -> DueBlock | None:
    """Words and draws the part; None where it is not known when customers order."""
    due = inputs.due
    if due is None or not due.orders.eligible.any():
        return None
    rows = _Rows(inputs, customers, due)
    return DueBlock(
        sentences=_sentences(inputs, due, int(rows.is_overdue.sum())),
        groups=_groups(rows.by[rows.is_asked]),
        tables=tuple(
            DueTable(title, int(chosen.sum()), rows.first(chosen, worth))
            for title, chosen, worth in (
                ("Due soonest", rows.is_asked & np.isfinite(rows.by), -rows.by),
                ("Overdue", rows.is_overdue, rows.worth),
            )
        ),
        weeks=_weeks(due),
    )


class _Rows:
    """Customers in the order of the report's, with what is known of their next orders."""

    def __init__(self, inputs: ReportInputs, customers: Customers, due: Due) -> None:
        self._inputs, self._customers, self._orders = inputs, customers, due.orders
        keys = due.orders.user_keys
        ids = np.array([called(key, inputs.source_ids) for key in keys.tolist()])
        order = np.argsort(ids, kind="stable")
        self._places = order
        self.ids = ids[order]
        self._at = np.searchsorted(customers.ids, self.ids)
        self.by, self.low, self.high = (due.orders.days(level)[order] for level in (0.5, 0.1, 0.9))
        self.is_asked: NDArray[np.bool_] = due.orders.eligible[order]
        self.gap = due.usual_gap_days[order]
        self.recency = customers.recency_days[self._at]
        self.worth = customers.value_micros[self._at].astype(np.float64)
        is_regular = customers.order_count[self._at] >= LEAST_ORDERS
        self.is_overdue = self.is_asked & is_regular & (self.recency > LATE * self.gap)

    def first(self, chosen: NDArray[np.bool_], worth: Floats) -> tuple[DueCustomer, ...]:
        """The first of those chosen, the most worthwhile first."""
        places = np.flatnonzero(chosen)
        order = np.argsort(-worth[places], kind="stable")[:TOP]
        return tuple(self._one(place) for place in places[order].tolist())

    def _one(self, place: int) -> DueCustomer:
        own = int(self._places[place])
        return DueCustomer(
            user=str(self.ids[place]),
            by=self._day(self.by[place]),
            between=f"{self._day(self.low[place])} to {self._day(self.high[place])}",
            probability=float(self._orders.chances[own, PARTS // 3 - 1]),
            recency_days=float(self.recency[place]),
            usual_gap_days=float(self.gap[place]),
            reasons=reasons_of(self._orders.reasons_json[own]),
        )

    def _day(self, days: float) -> str:
        if np.isnan(days):
            return "later"
        zone = self._inputs.time_zone
        return numbers.date(shift(self._inputs.as_of_time, timedelta(days=int(days)), zone), zone)


def _sentences(inputs: ReportInputs, due: Due, overdue: int) -> tuple[str, ...]:
    asked = due.orders.chances[due.orders.eligible]
    third = inputs.horizon_days // 3
    by_third = [numbers.count(total) for total in asked.sum(axis=0)[PARTS // 3 - 1 :: PARTS // 3]]
    sentences = [
        f"Of {numbers.count(len(asked))} customers who have ordered, {by_third[0]} are expected to "
        f"order again within {third} days, {by_third[1]} within {2 * third} and {by_third[2]} "
        f"within {inputs.horizon_days}."
    ]
    earlier = [
        f"{words}, from {numbers.date(each.start_time, inputs.time_zone)}, it was "
        f"{numbers.percent(sum(each.by_week) / each.customer_count)} of "
        f"{numbers.count(each.customer_count)}"
        for words, each in (
            ("in the same weeks of last year", due.year_ago),
            ("in the window before", due.last_window),
        )
        if each is not None and each.customer_count
    ]
    if earlier:
        expected = numbers.percent(float(due.orders.by_week().sum()) / len(asked))
        sentences.append(f"In {WEEKS} weeks that is {expected} of them; {' and '.join(earlier)}.")
    sentences.append(
        f"{numbers.count(overdue)} customers with at least {LEAST_ORDERS} orders are overdue: "
        f"quiet for more than twice their usual pause."
    )
    if held := due.measured.get("coverage", {}).get("value"):
        sentences.append(
            "A customer is due on the day by which the chance of an order is even; eight next "
            "orders in ten should come between the first and the last day given, and on a later "
            f"window than was learned from {numbers.percent(held)} did. All customers are in "
            "next_order.csv."
        )
    return tuple(sentences)


def _groups(by: Floats) -> tuple[DueGroup, ...]:
    ends = np.searchsorted(_ENDS, by[np.isfinite(by)])
    counts = [*np.bincount(ends, minlength=len(_ENDS)).tolist(), int(np.isnan(by).sum())]
    starts = (0, *_ENDS[:-1])
    titles = [f"Day {low + 1} to {high}" for low, high in zip(starts, _ENDS, strict=True)]
    titles.append(f"After {_ENDS[-1]} days, or never")
    return tuple(
        DueGroup(title, count, count / len(by)) for title, count in zip(titles, counts, strict=True)
    )


def _weeks(due: Due) -> Chart:
    lines: list[tuple[str, Sequence[float]]] = [("expected", due.orders.by_week().tolist())]
    for words, earlier in (("last year", due.year_ago), ("window before", due.last_window)):
        if earlier is not None:
            lines.append((words, earlier.by_week))
    rows = [
        {"week": week, "customers": round(count, 2), "what": words}
        for words, counts in lines
        for week, count in enumerate(counts, 1)
    ]
    told = "; ".join(
        f"{words}: {', '.join(numbers.count(count) for count in counts)}" for words, counts in lines
    )
    description = f"Customers whose next order comes in each week. {told}."
    names = [words for words, _ in lines]
    return Chart(
        svg(specs.weeks(rows, names, WIDE), "weeks-wide", description),
        svg(specs.weeks(rows, names, NARROW), "weeks-narrow", description),
        description,
    )
