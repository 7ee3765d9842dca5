"""Whom to contact: audiences by plain rules, none of which share a customer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.report.customers import Customers

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

VALUABLE_SHARE = 0.8
LIKELY_PERCENTILE = 80.0
NEW_DAYS = 30


@dataclass(frozen=True)
class Audience:
    """Customers that a rule gave, the most worthwhile first.

    Attributes:
        name: Stable name, as in contacts.csv.
        title: For a heading.
        rule: The rule in words.
        advice: What to do, in a sentence.
        members: Places in `Customers`, the most worthwhile first.
    """

    name: str
    title: str
    rule: str
    advice: str
    members: NDArray[np.int64]


@dataclass(frozen=True)
class _Rule:
    """How one audience is found and sorted."""

    name: str
    title: str
    rule: str
    advice: str
    holds: Callable[[Customers, int], Flags]
    worth: Callable[[Customers], Floats]


def audiences_of(customers: Customers, horizon_days: int) -> tuple[Audience, ...]:
    """Applies the rules in order; a customer belongs to the first whose rule holds."""
    is_free = customers.is_eligible.copy()
    audiences = []
    for rule in _RULES:
        chosen = np.flatnonzero(is_free & rule.holds(customers, horizon_days))
        is_free[chosen] = False
        # Customers lie in the order of their ids, which a stable sort keeps among equals.
        by_worth = np.argsort(-rule.worth(customers)[chosen], kind="stable")
        text = rule.rule.format(horizon=horizon_days)
        audiences.append(
            Audience(rule.name, rule.title, text, rule.advice, chosen[by_worth].astype(np.int64))
        )
    return tuple(audiences)


def _is_at_risk(customers: Customers, horizon_days: int) -> Flags:
    del horizon_days
    spend = _past_spend_of_eligible(customers)
    if not len(spend):
        return np.zeros(len(customers), dtype=np.bool_)
    is_valuable = customers.past_micros >= np.quantile(spend, VALUABLE_SHARE)
    return np.asarray(is_valuable & _is_below_average(customers))


def _is_likely(customers: Customers, horizon_days: int) -> Flags:
    del horizon_days
    return np.asarray(customers.percentile >= LIKELY_PERCENTILE)


def _is_new(customers: Customers, horizon_days: int) -> Flags:
    del horizon_days
    return np.asarray((customers.order_count == 1) & (customers.recency_days <= NEW_DAYS))


def _is_lapsed(customers: Customers, horizon_days: int) -> Flags:
    spend = _past_spend_of_eligible(customers)
    if not len(spend):
        return np.zeros(len(customers), dtype=np.bool_)
    is_quiet = customers.recency_days > horizon_days
    return np.asarray(is_quiet & (customers.past_micros >= np.quantile(spend, 0.5)))


def _past_spend_of_eligible(customers: Customers) -> NDArray[np.int64]:
    return customers.past_micros[customers.is_eligible & (customers.past_micros > 0)]


def _is_below_average(customers: Customers) -> Flags:
    return np.asarray(customers.active < customers.active[customers.is_eligible].mean())


_RULES = (
    _Rule(
        name="valuable_at_risk",
        title="Valuable and at risk",
        rule="Among the top fifth by spend in the last year, yet less likely than the average "
        "customer to order in the next {horizon} days. Sorted by the spend at risk.",
        advice="Call or write in person, and find out what changed.",
        holds=_is_at_risk,
        worth=lambda customers: np.asarray(customers.past_micros * (1.0 - customers.active)),
    ),
    _Rule(
        name="likely_to_buy",
        title="Likely to buy",
        rule="The fifth of customers most likely to order in the next {horizon} days. Sorted by "
        "expected spend.",
        advice="Show them what is new; they need no discount.",
        holds=_is_likely,
        worth=lambda customers: customers.value_micros.astype(np.float64),
    ),
    _Rule(
        name="second_order",
        title="New: win the second order",
        rule=f"First and only order in the last {NEW_DAYS} days. Sorted by the probability of "
        "another one.",
        advice="Welcome them and suggest what goes with the first order.",
        holds=_is_new,
        worth=lambda customers: customers.active,
    ),
    _Rule(
        name="win_back",
        title="Win back",
        rule="No order for more than {horizon} days, though they spent more in the last year than "
        "half of all buyers. Sorted by expected spend.",
        advice="Give a reason to return; start from the top, where it is most likely to pay.",
        holds=_is_lapsed,
        worth=lambda customers: customers.value_micros.astype(np.float64),
    ),
)
