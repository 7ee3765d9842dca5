"""Why a prediction is what it is, in a marketer's words."""

from collections.abc import Callable, Sequence

import numpy as np

from services.inference.domain.prediction import Floats, Reason

Words = Callable[[str, float], str]
"""Says a feature's value in words: ("recency_days", 12.0) -> "last ordered 12 days ago"."""

REASON_COUNT = 3

# A smaller share moves no probability by more than a quarter of a percentage point.
_LEAST_LOGITS = 0.01


def strongest(
    contributions: Floats,
    values: Floats,
    features: Sequence[str],
    words: Words,
    count: int = REASON_COUNT,
) -> list[tuple[Reason, ...]]:
    """Return each row's strongest reasons, the strongest first.

    Features that say the same in words become one reason with the sum of their contributions.

    Args:
        contributions: [row, feature], in logits.
        values: [row, feature], as the model was given them.
        features: Names, in matrix order.
        words: Says a value in words.
        count: At most this many reasons a row.
    """
    strength = np.abs(contributions)
    order = np.argsort(-strength, axis=1, kind="stable")
    reach = (strength >= _LEAST_LOGITS).sum(axis=1)
    return [
        _merged(
            [
                Reason(features[place], words(features[place], float(row[place])), float(of[place]))
                for place in places[: min(most, 2 * count)]
            ],
            count,
        )
        for of, row, places, most in zip(contributions, values, order, reach, strict=True)
    ]


def wording(says: Callable[[str, float, str], str], currency: str) -> Words:
    """Return words for a workspace; a feature that is no longer declared is said by its name."""

    def words(feature: str, value: float) -> str:
        try:
            return says(feature, value, currency)
        except KeyError:
            return f"{feature} is {'missing' if np.isnan(value) else f'{value:g}'}"

    return words


def _merged(reasons: list[Reason], count: int) -> tuple[Reason, ...]:
    by_text: dict[str, Reason] = {}
    for reason in reasons:
        known = by_text.get(reason.text)
        by_text[reason.text] = (
            reason
            if known is None
            else Reason(known.feature, known.text, known.contribution + reason.contribution)
        )
    merged = sorted(by_text.values(), key=lambda reason: -abs(reason.contribution))
    return tuple(merged[:count])


def ineligible_reason(rule: str) -> str:
    """Say why a user is given a base rate.

    >>> ineligible_reason("orders_ever >= 1")
    'has not bought anything yet'
    """
    if rule == "orders_ever >= 1":
        return "has not bought anything yet"
    return f"does not meet the rule {rule}"
