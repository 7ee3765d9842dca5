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
    """
    feature = FEATURES[name]
    if math.isnan(value):
        return f"{feature.label}: not known yet"
    match feature.unit:
        case "currency":
            said = f"{value:,.2f} {currency}".rstrip()
        case "share":
            said = f"{value:.0%}"
        case "balance":
            said = f"{value:+.0%}"
        case "times" | "orders a day":
            said = f"{value:.2g}"
        case "items":
            said = f"{value:,.1f}"
        case _:
            said = f"{value:,.0f}"
    return _singular(feature.words.format(value=said))


def _singular(text: str) -> str:
    text = re.sub(r"(ordered) 0 times", r"did not order", text)
    text = re.sub(r"\b(ordered) 1 times", r"\1 once", text)
    return re.sub(
        r"(?<![\d.,])1 (different )?(day|refund|product)s(?= |$)", r"1 \1\2", text
    ).replace("1 different", "1")
