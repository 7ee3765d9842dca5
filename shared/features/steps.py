"""Which columns of a matrix describe a user's last events one by one."""

from collections.abc import Sequence

from shared.features.algebra import RecentOrder
from shared.features.registry import FEATURES


def step_columns(names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Return for each step of a sequence, the earliest first, the places of its columns.

    >>> step_columns(["orders_ever", "order1_days", "order2_days"])
    ((2,), (1,))
    """
    steps: dict[int, list[int]] = {}
    for column, name in enumerate(names):
        expression = FEATURES[name].expression if name in FEATURES else None
        if isinstance(expression, RecentOrder):
            steps.setdefault(expression.place, []).append(column)
    return tuple(tuple(steps[place]) for place in sorted(steps, reverse=True))
