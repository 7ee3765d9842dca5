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
    RecentOrder,
    Statistic,
    Window,
)
from shared.features.registry import FEATURES, GROUPS, feature_set_version, select
from shared.features.steps import step_columns
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
    "RecentOrder",
    "Statistic",
    "Window",
    "feature_set_version",
    "select",
    "step_columns",
    "words",
]
