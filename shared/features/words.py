"""Feature values in a marketer's words."""

import math
import re

from shared.features.registry import FEATURES


def words(name: str, value: float, currency: str = "") -> str:
    """Say a feature's value in a sentence without a subject.

    Args:
        name: A declared feature.
        value: Its value; NaN when it is missing.
        currency: Code put behind amounts of money, if any.

    >>> words("recency_days", 12.4)
    'last ordered 12 days ago'
    >>> words("gross_90d", 1234.5, "GBP")
    'spent 1,234.50 GBP in the last 90 days'
    >>> words("orders_30d", 1)
    'ordered once in the last 30 days'
    >>> words("orders_balance_30d", -1.0)
    'no orders in the last 30 days, but some in the 30 before'
    """
    feature = FEATURES[name]
    if math.isnan(value):
        return f"{feature.label}: not known yet"
    if feature.unit == "balance":
        return _compared(feature.label, value)
    match feature.unit:
        case "currency":
            said = f"{value:,.2f} {currency}".rstrip()
        case "share":
            said = f"{value:.0%}"
        case "times":
            said = f"{value:.2g}"
        case "orders a day":
            return f"orders {_every(value)} since the first order"
        case "items":
            said = f"{value:,.1f}" if value < 10 else f"{value:,.0f}"
        case _:
            said = f"{value:,.0f}"
    return _singular(feature.words.format(value=said))


def _compared(label: str, value: float) -> str:
    """Two windows against each other; labels read "X of the last N days against the N before"."""
    what, windows = label.split(" of ")
    recent, before = windows.split(" against ")
    if value <= -1.0:
        return f"no {what} in {recent}, but some in {before}"
    if value >= 1.0:
        return f"{what} in {recent}, and none in {before}"
    if abs(value) < 0.05:
        return f"about the same {what} in {recent} as in {before}"
    fewer = "less" if what == "spend" else "fewer"
    return f"{'more' if value > 0 else fewer} {what} in {recent} than in {before}"


def _every(orders_a_day: float) -> str:
    days = 1.0 / orders_a_day if orders_a_day > 0 else math.inf
    if days >= 365.0:
        return "once a year or less"
    return "once a day or more" if days < 1.5 else f"about every {days:,.0f} days"


def _singular(text: str) -> str:
    text = re.sub(r"\bhas had 0 refunds", "has had no refund", text)
    text = re.sub(r"\b(has spent|spent) 0\.00(?: [A-Z]{3})?", r"\1 nothing", text)
    text = re.sub(r"^0 products (viewed|put in carts)", r"no product \1", text)
    text = re.sub(r"\b(ordered) 0 times", r"did not order", text)
    text = re.sub(r"\b(ordered) 1 times", r"\1 once", text)
    return re.sub(
        r"(?<![\d.,])1 (different )?(day|refund|product)s(?= |$)", r"1 \1\2", text
    ).replace("1 different", "1")
