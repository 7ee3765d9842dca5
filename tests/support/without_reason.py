"""What a prediction becomes when the strongest reason for it is taken away."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.inference.domain.reasons import Wording, strongest
from shared.features import FEATURES, words

Rows = NDArray[Any]


def told_and_moved(
    contributions: Rows,
    features: Rows,
    names: Sequence[str],
    usual: Rows,
    probability: Callable[[Rows], Rows],
) -> tuple[Rows, Rows]:
    """Each row's strongest contribution, and by how much the logit falls without it.

    Features with the same value in the same unit tell one fact, and are taken away together.

    Args:
        contributions: [row, feature].
        features: [row, feature], raw.
        names: Of the features.
        usual: [feature], what a feature becomes when it is taken away.
        probability: Of raw rows.
    """
    units = {name: feature.unit for name, feature in FEATURES.items()}
    wording = Wording(words, units, "GBP")
    reasons = strongest(contributions, features, names, wording, count=1)
    is_told = np.array([bool(each) for each in reasons])
    without = features.copy()
    for row, reason in enumerate(reasons):
        for each in reason:
            value = features[row, list(names).index(each.feature)]
            for place, name in enumerate(names):
                own = features[row, place]
                is_same = own == value or (np.isnan(own) and np.isnan(value))
                if is_same and wording.unit(name) == wording.unit(each.feature):
                    without[row, place] = usual[place]
    moved = _logit(probability(features)) - _logit(probability(without))
    told = np.array([each[0].contribution if each else 0.0 for each in reasons])
    return told[is_told], moved[is_told]


def _logit(chances: Rows) -> Rows:
    wide: Rows = np.asarray(chances, np.float64)
    return np.log(wide) - np.log1p(-wide)
