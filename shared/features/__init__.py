"""Features declared once, compiled to SQL, and said in words."""

from shared.features.algebra import (
    EVER,
    Aggregate,
    Balance,
    Events,
    Expression,
    Feature,
    Function,
    Property,
    Ratio,
    Statistic,
    Window,
)
from shared.features.registry import FEATURES, GROUPS, feature_set_version, select
from shared.features.words import words

__all__ = [
    "EVER",
    "FEATURES",
    "GROUPS",
    "Aggregate",
    "Balance",
    "Events",
    "Expression",
    "Feature",
    "Function",
    "Property",
    "Ratio",
    "Statistic",
    "Window",
    "feature_set_version",
    "select",
    "words",
]
