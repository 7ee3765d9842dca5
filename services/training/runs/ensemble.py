"""What each member of an ensemble is fitted to: scaled rows, targets, and who judges it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from services.training.engine import Arrays, FitConfig
from services.training.models import LayerList
from services.training.runs import heads
from services.training.runs.config import RunConfig
from services.training.runs.rows import NumpyArray, Rows, ages_weight, groups, thin
from services.training.runs.scaling import Scaling, fit_scaling, scale_rows
from services.training.runs.unfolding import network_layers
from shared.dataset import FoldSpec
from shared.errors import FailedPreconditionError

Limits = tuple[float, float]

LEAST_ROWS = 100
LEAST_USERS = 50
LEAST_OF_EACH_KIND = 10


@dataclass(frozen=True)
class EnsembleRows:
    """Eligible rows as the networks of an ensemble read them.

    Args:
        rows: Eligible rows.
        config: All choices of the run.
    """

    rows: Rows
    config: RunConfig

    @cached_property
    def weights(self) -> NumpyArray:
        """Weight of each row, by its age."""
        return ages_weight(self.rows.as_ofs, self.config.half_life_days)

    @cached_property
    def scaling(self) -> Scaling:
        """How features are scaled."""
        return fit_scaling(self.rows.features, self.rows.steps)

    @cached_property
    def spend_scale(self) -> heads.SpendScale:
        """How spend is scaled."""
        return heads.fit_spend_scale(self.rows.spend)

    @cached_property
    def inputs(self) -> NumpyArray:
        """Scaled features."""
        return scale_rows(self.rows.features, self.scaling)

    @cached_property
    def group(self) -> NumpyArray:
        """The member that each row is kept from; a user's rows are all in one."""
        return groups(self.rows.user_keys, self.config.members)

    @cached_property
    def layers(self) -> LayerList:
        """Of each member."""
        return network_layers(self.config.model_config(), self.scaling, self.rows.steps)

    @property
    def fit_config(self) -> FitConfig:
        """How each member is fitted."""
        return self.config.fit_config(min(len(self.rows), self.config.most_rows))

    def seed(self, member: int) -> int:
        """Of a member's first weights, order and dropout."""
        return self.config.seed * 1000 + member

    def train(self, member: int) -> Arrays:
        """What a member is fitted to: all other groups, thinned where they are many."""
        places = np.flatnonzero(self.group != member)
        users = self.rows.user_keys[places]
        kept, weights = thin(self.weights[places], users, self.config.most_rows)
        return self._arrays(places[kept], weights)

    def valid(self, member: int) -> Arrays:
        """What a member is judged on while it is fitted: its own group."""
        out = self.group == member
        return self._arrays(out, self.weights[out])

    @cached_property
    def _targets(self) -> Mapping[str, NumpyArray]:
        return heads.targets(self.rows.spend, self.spend_scale)

    def _arrays(self, chosen: NumpyArray, weights: NumpyArray) -> Arrays:
        return Arrays(
            {"features": self.inputs[chosen]},
            {name: value[chosen] for name, value in self._targets.items()},
            weights,
        )


def limits_of(fold: FoldSpec) -> Limits:
    """Between the value segments of a fold."""
    low, high = fold.segment_limits_micros
    return low / 1e6, high / 1e6


def ensemble_rows(rows: Rows, config: RunConfig) -> EnsembleRows:
    """The eligible ones of these rows, for an ensemble.

    Raises:
        FailedPreconditionError: There are too few rows, or too few of one kind.
    """
    eligible = rows.where(rows.eligible)
    _require_enough(eligible)
    return EnsembleRows(eligible, config)


def _require_enough(rows: Rows) -> None:
    active = int(rows.is_active.sum())
    for rule, value, threshold in (
        ("eligible training rows", len(rows), LEAST_ROWS),
        ("customers in eligible training rows", len(np.unique(rows.user_keys)), LEAST_USERS),
        ("eligible training rows with an order in the horizon", active, LEAST_OF_EACH_KIND),
        ("eligible training rows without one", len(rows) - active, LEAST_OF_EACH_KIND),
    ):
        if value < threshold:
            raise FailedPreconditionError(
                f"too little data to train: {rule} are {value}, at least {threshold} are needed; "
                "bring in more history or move the as-of date",
                reason="TOO_LITTLE_DATA",
                rule=rule,
                value=value,
                threshold=threshold,
            )
