"""Why a prediction is what it is, in a marketer's words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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

    def unit(self, feature: str) -> str:
        """Return a feature's unit; one that is no longer declared shares it with no other."""
        return self.units.get(feature, feature)


def strongest(
    contributions: Floats,
    values: Floats,
    features: Sequence[str],
    wording: Wording,
    count: int = REASON_COUNT,
) -> list[tuple[Reason, ...]]:
    """Return each row's strongest reasons, the strongest first.

    Features with the same value in the same unit tell one fact: of someone who ordered once, "first
    ordered 30 days ago" and "last ordered 30 days ago". They become one reason with the sum of
    their contributions, told by the one that pulls hardest in its direction.

    Args:
        contributions: [row, feature], in logits.
        values: [row, feature], as the model was given them.
        features: Names, in matrix order.
        wording: How they are told.
        count: At most this many reasons a row.
    """
    sums, tellers = _facts(contributions, values, [wording.unit(name) for name in features])
    order = np.argsort(-np.abs(sums), axis=1, kind="stable")[:, :count]
    totals = np.take_along_axis(sums, order, axis=1)
    told = np.take_along_axis(tellers, order, axis=1)
    shown = np.take_along_axis(values, told, axis=1)
    return [
        tuple(
            Reason(features[place], wording.say(features[place], value), total)
            for place, value, total in zip(*of_row, strict=True)
            if abs(total) >= _LEAST_LOGITS
        )
        for of_row in zip(told.tolist(), shown.tolist(), totals.tolist(), strict=True)
    ]


def _facts(
    contributions: Floats, values: Floats, units: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return each fact's sum, at its first feature and 0 elsewhere, and the feature to tell it by.

    Both are [row, feature].
    """
    sums = np.zeros(contributions.shape)
    tellers = np.zeros(contributions.shape, np.intp)
    for unit in dict.fromkeys(units):
        places = np.flatnonzero([each == unit for each in units])
        value, share = values[:, places], contributions[:, places].astype(np.float64)
        is_missing = np.isnan(value)
        is_same = (value[:, :, None] == value[:, None, :]) | (
            is_missing[:, :, None] & is_missing[:, None, :]
        )
        total = np.where(is_same, share[:, None, :], 0.0).sum(axis=2)
        pull = np.where(is_same, share[:, None, :] * np.sign(total)[:, :, None], -np.inf)
        is_first = is_same.argmax(axis=2) == np.arange(len(places))
        sums[:, places] = np.where(is_first, total, 0.0)
        tellers[:, places] = places[pull.argmax(axis=2)]
    return sums, tellers


def ineligible_reason(rule: str) -> str:
    """Say why a user is given a base rate.

    >>> ineligible_reason("orders_ever >= 1")
    'has not bought anything yet'
    """
    if rule == "orders_ever >= 1":
        return "has not bought anything yet"
    return f"does not meet the rule {rule}"
