"""Why a prediction is what it is, in a marketer's words."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.inference.domain.prediction import Floats, Reason

REASON_COUNT = 3

# A smaller share moves no probability by more than a quarter of a percentage point.
_LEAST_LOGITS = 0.01


@dataclass(frozen=True)
class Wording:
    """How features are told.

    Attributes:
        words: Says a feature's value: ("recency_days", 12.0, "GBP") -> "last ordered 12 days ago".
        units: Unit of each declared feature.
        currency: Code put behind amounts of money.
    """

    words: Callable[[str, float, str], str]
    units: Mapping[str, str]
    currency: str

    def say(self, feature: str, value: float) -> str:
        """Say a value in words; a feature that is no longer declared is said by its name."""
        if feature not in self.units:
            return f"{feature} is {'missing' if np.isnan(value) else f'{value:g}'}"
        return self.words(feature, value, self.currency)

    def fact(self, feature: str, value: float) -> Hashable:
        """Return what two features have in common when they tell the same of a user.

        Of someone who ordered once, "first ordered 30 days ago" and "last ordered 30 days ago" are
        one fact: the same value in the same unit.
        """
        unit = self.units.get(feature, feature)
        return unit, None if value != value else value  # NaN is the one that differs from itself


def strongest(
    contributions: Floats,
    values: Floats,
    features: Sequence[str],
    wording: Wording,
    count: int = REASON_COUNT,
) -> list[tuple[Reason, ...]]:
    """Return each row's strongest reasons, the strongest first.

    Features that tell the same fact become one reason with the sum of their contributions, told by
    the one that pulls hardest in its direction.

    Args:
        contributions: [row, feature], in logits.
        values: [row, feature], as the model was given them.
        features: Names, in matrix order.
        wording: How they are told.
        count: At most this many reasons a row.
    """
    return [
        _strongest(of_row, row, features, wording, count)
        for of_row, row in zip(contributions.tolist(), values.tolist(), strict=True)
    ]


def _strongest(
    contributions: Sequence[float],
    values: Sequence[float],
    features: Sequence[str],
    wording: Wording,
    count: int,
) -> tuple[Reason, ...]:
    facts: dict[Hashable, list[int]] = {}
    for place, (feature, value) in enumerate(zip(features, values, strict=True)):
        facts.setdefault(wording.fact(feature, value), []).append(place)
    sums = [(sum(contributions[place] for place in places), places) for places in facts.values()]
    sums = [each for each in sums if abs(each[0]) >= _LEAST_LOGITS]
    sums.sort(key=lambda each: -abs(each[0]))
    return tuple(
        _told(total, places, contributions, values, features, wording)
        for total, places in sums[:count]
    )


def _told(
    total: float,
    places: Sequence[int],
    contributions: Sequence[float],
    values: Sequence[float],
    features: Sequence[str],
    wording: Wording,
) -> Reason:
    sign = 1.0 if total > 0 else -1.0
    place = max(places, key=lambda place: contributions[place] * sign)
    return Reason(features[place], wording.say(features[place], values[place]), total)


def ineligible_reason(rule: str) -> str:
    """Say why a user is given a base rate.

    >>> ineligible_reason("orders_ever >= 1")
    'has not bought anything yet'
    """
    if rule == "orders_ever >= 1":
        return "has not bought anything yet"
    return f"does not meet the rule {rule}"
