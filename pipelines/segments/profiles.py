"""What the customers of each group have in common, from what is known and said of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

MOST_TRAITS = 3
DIFFERS = 0.15
"""A group whose mean place among all customers is this far from the middle differs in a feature."""

SAME_FACT = 0.8
"""Features whose places go together this closely tell one fact."""

SAMPLE = 20_000


@dataclass(frozen=True)
class Trait:
    """Something in which a group differs, said for its median customer.

    Attributes:
        is_more: Whether the number is higher than among other customers.
        text: The feature and its value in words.
    """

    is_more: bool
    text: str


@dataclass(frozen=True)
class Profile:
    """Figures of one group; shares are of all customers who have ordered.

    Attributes:
        customers: How many they are.
        customer_share: Share of customers.
        spend_share: Share of the spend of the last year.
        spend: Mean spend of the last year, in currency units.
        orders: Mean orders so far.
        basket: Mean of the customers' mean orders, in currency units.
        recency_days: Median days since the last order.
        active: Mean probability to order within the horizon.
        value: Mean expected spend within the horizon, in currency units.
        value_share: Share of the spend expected within the horizon.
        median_orders: Median orders so far.
        traits: In what it differs, strongest first.
    """

    customers: int
    customer_share: float
    spend_share: float
    spend: float
    orders: float
    basket: float
    recency_days: float
    active: float
    value: float
    value_share: float
    median_orders: float
    traits: tuple[Trait, ...]


@dataclass(frozen=True)
class Facts:
    """Customers who have ordered, along the first axis of everything.

    Attributes:
        features: Raw features by name, NaN where missing.
        active: Probability to order within the horizon.
        value: Expected spend within the horizon, in currency units.
    """

    features: dict[str, Floats]
    active: Floats
    value: Floats

    def __len__(self) -> int:
        return len(self.active)


def profiles_of(
    facts: Facts, labels: Labels, count: int, say: Callable[[str, float], str]
) -> tuple[Profile, ...]:
    """The profile of each group.

    Args:
        facts: Of all customers who have ordered.
        labels: Group of each.
        count: Groups.
        say: Words a value of a feature.
    """
    names = list(facts.features)
    chosen = np.linspace(0, len(facts) - 1, min(len(facts), SAMPLE)).astype(np.int64)
    places = {name: standing(facts.features[name][chosen]) for name in names}
    matrix = np.column_stack([places[name] for name in names])
    alike = np.abs(_correlations(matrix))
    apart = group_means(matrix, labels[chosen], count) - 0.5
    spend = np.nan_to_num(facts.features["gross_365d"])
    profiles = []
    for group in range(count):
        is_in = labels == group
        traits = _traits(facts, names, apart[group], alike, is_in, say)
        profiles.append(_profile(facts, spend, is_in, traits))
    return tuple(profiles)


def standing(values: Floats) -> Floats:
    """Place of each value among all, 0 to 1, equal ones sharing theirs; the middle where missing.

    >>> standing(np.array([5.0, 9.0, np.nan])).tolist()
    [0.25, 0.75, 0.5]
    """
    places = np.full(len(values), 0.5)
    is_known = ~np.isnan(values)
    if is_known.any():
        places[is_known] = (rankdata(values[is_known]) - 0.5) / is_known.sum()
    return places


def group_means(matrix: Floats, labels: Labels, count: int) -> Floats:
    """Mean row of each group, [group, number]; the middle of a standing where nobody is in it."""
    means = np.full((count, matrix.shape[1]), 0.5)
    for group in np.unique(labels):
        means[group] = matrix[labels == group].mean(axis=0)
    return means


def _profile(
    facts: Facts, spend: Floats, is_in: NDArray[np.bool_], traits: tuple[Trait, ...]
) -> Profile:
    features = facts.features
    return Profile(
        customers=int(is_in.sum()),
        customer_share=float(is_in.mean()),
        spend_share=_share(spend[is_in].sum(), spend.sum()),
        spend=_mean(spend[is_in]),
        orders=_mean(features["orders_ever"][is_in]),
        basket=_mean(features["basket_mean"][is_in]),
        recency_days=_median(features["recency_days"][is_in]),
        active=_mean(facts.active[is_in]),
        value=_mean(facts.value[is_in]),
        value_share=_share(facts.value[is_in].sum(), facts.value.sum()),
        median_orders=_median(features["orders_ever"][is_in]),
        traits=traits,
    )


def _traits(
    facts: Facts,
    names: Sequence[str],
    apart: Floats,
    alike: Floats,
    is_in: NDArray[np.bool_],
    say: Callable[[str, float], str],
) -> tuple[Trait, ...]:
    found: list[int] = []
    for place in np.argsort(-np.abs(apart), kind="stable"):
        if abs(apart[place]) < DIFFERS or len(found) == MOST_TRAITS:
            break
        if all(alike[place, other] < SAME_FACT for other in found):
            found.append(int(place))
    medians = {place: _median(facts.features[names[place]][is_in]) for place in found}
    return tuple(
        Trait(bool(apart[place] > 0), say(names[place], value)) for place, value in medians.items()
    )


def _correlations(matrix: Floats) -> Floats:
    centred = matrix - matrix.mean(axis=0)
    length = np.sqrt(np.square(centred).sum(axis=0))
    scaled: Floats = centred / np.where(length > 0, length, 1.0)
    return scaled.T @ scaled


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _median(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
