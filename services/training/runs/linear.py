"""The straight half of the ensemble: logistic regressions, one for each group of users left out.

A network fitted to one season may bend the wrong way in the next; a well-regularised straight line
is steadier over time, and their mean ranked better than either on most earlier windows tried.
"""

from dataclasses import dataclass

import numpy as np

from services.training.evaluation.baselines import (
    LogisticBaseline,
    Split,
    earlier_window,
    fit_at_strength,
    fit_logistic,
)
from services.training.runs.rows import DAY, NumpyArray, Rows, groups, thin


@dataclass(frozen=True)
class Linear:
    """Straight members, one per group."""

    members: tuple[LogisticBaseline, ...]

    def logits(self, inputs: NumpyArray, member: int) -> NumpyArray:
        """What one member says of network inputs."""
        one = self.members[member]
        logits: NumpyArray = inputs @ one.coefficients + one.intercept
        return logits

    def mean(self) -> NumpyArray:
        """Coefficients of all members' mean logit, the intercept last."""
        rows = [[*member.coefficients, member.intercept] for member in self.members]
        mean: NumpyArray = np.array(rows).mean(axis=0)
        return mean


def fit_linear(
    inputs: NumpyArray,
    rows: Rows,
    group: NumpyArray,
    *,
    count: int,
    horizon_days: int,
    most_rows: int,
) -> Linear:
    """Fit one member per group on the rows of all other groups.

    Args:
        inputs: Network inputs of the rows.
        rows: Eligible rows.
        group: Group of each row's user.
        count: Groups there are.
        horizon_days: Length of a label window.
        most_rows: More rows than this are thinned.
    """
    kept, _ = thin(np.ones(len(rows), np.float32), rows.user_keys, most_rows)
    inputs, rows, group = inputs[kept], rows.where(kept), group[kept]
    chosen = fit_logistic(inputs, rows.is_active, splits(rows, horizon_days)).strength
    return Linear(
        tuple(
            fit_at_strength(inputs[group != out], rows.is_active[group != out], chosen)
            for out in range(count)
        )
    )


def splits(rows: Rows, horizon_days: int) -> list[Split]:
    """Where to choose the regularisation: an earlier window, else a cross-validation by user."""
    window = earlier_window(rows.as_ofs, horizon_days * DAY)
    if window is not None:
        return [window]
    part = groups(rows.user_keys, 5)
    return [Split(fit=part != out, judge=part == out) for out in range(5)]
