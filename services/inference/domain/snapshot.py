"""Features of every known user at one instant, in memory, found by pseudonym."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from services.inference.domain.persons import NO_ALIASES, UNKNOWN, Aliases, find
from services.inference.domain.prediction import Flags, Floats, Keys, ModelFacts
from shared.errors import FailedPreconditionError


@dataclass(frozen=True, eq=False)
class FeatureSnapshot:
    """Rows in ascending order of `user_keys`; replaced whole, never changed."""

    dataset: str
    content_hash: str
    as_of: datetime
    known_at: datetime
    feature_set_version: str
    eligible_rule: str
    features: tuple[str, ...]
    user_keys: Keys
    """[user], ascending, unique."""
    eligible: Flags
    """[user]."""
    values: Floats
    """[user, feature], NaN where a value is missing."""
    also: Aliases = NO_ALIASES
    """Further keys of users who turned out to be one person."""

    def slots(self, user_keys: Keys) -> NDArray[np.intp]:
        """Return the row of each user, or UNKNOWN."""
        found = find(self.user_keys, user_keys)
        if len(self.also.keys):
            by_alias = find(self.also.keys, user_keys)
            is_alias = (found == UNKNOWN) & (by_alias != UNKNOWN)
            found[is_alias] = self.also.slots[by_alias[is_alias]]
        return found

    def read(self, slots: NDArray[np.intp]) -> tuple[Floats, Flags]:
        """Return features and eligibility of rows; an unknown user is all missing, not eligible."""
        is_known = slots != UNKNOWN
        rows = np.full((len(slots), len(self.features)), np.nan, np.float32)
        rows[is_known] = self.values[slots[is_known]]
        eligible = np.zeros(len(slots), np.bool_)
        eligible[is_known] = self.eligible[slots[is_known]]
        return rows, eligible


def ordered(snapshot: FeatureSnapshot) -> FeatureSnapshot:
    """Return the snapshot with its rows in order of user.

    Raises:
        FailedPreconditionError: A user has two rows.
    """
    keys = snapshot.user_keys
    if np.all(keys[1:] > keys[:-1]):
        return snapshot
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    if np.any(keys[1:] == keys[:-1]):
        raise FailedPreconditionError(
            f"{snapshot.dataset} has several rows for one user; predict from a scoring dataset "
            "with one as_of.",
            reason="DATASET_ROWS_NOT_UNIQUE",
            dataset=snapshot.dataset,
        )
    return replace(
        snapshot,
        user_keys=keys,
        eligible=snapshot.eligible[order],
        values=snapshot.values[order],
    )


def check_fits(snapshot: FeatureSnapshot, model: ModelFacts) -> None:
    """Refuse to read a snapshot with a model that was trained on other features.

    Raises:
        FailedPreconditionError: Names, order or version of the features differ.
    """
    if snapshot.features == model.features and (
        snapshot.feature_set_version == model.feature_set_version
    ):
        return
    pairs = zip(snapshot.features, model.features, strict=False)
    place = next((i for i, (has, wants) in enumerate(pairs) if has != wants), None)
    if place is not None:
        what = f"feature {place} is {snapshot.features[place]}, not {model.features[place]}"
    elif len(snapshot.features) != len(model.features):
        what = f"it has {len(snapshot.features)} features, not {len(model.features)}"
    else:
        what = f"its feature set is {snapshot.feature_set_version}, not {model.feature_set_version}"
    raise FailedPreconditionError(
        f"{model.name} cannot read {snapshot.dataset}: {what}. Build a scoring dataset with the "
        "features that the model was trained on, or train the model again.",
        reason="FEATURES_DIFFER",
        model=model.name,
        dataset=snapshot.dataset,
        difference=what,
    )
