"""What must not be known: checks that stop a fit which could see its own answers."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from services.training.evaluation.ranking import auc
from services.training.runs.rows import NumpyArray, Rows
from shared.dataset import FoldSpec
from shared.errors import FailedPreconditionError

TOO_SURE = 0.99
"""No honest feature alone sorts buyers from others this well; what happened itself does."""

_MOST_ROWS = 20_000

_LEAST_OF_EACH_KIND = 20
"""Below this one feature of many may sort buyers by chance alone."""


def require_purged(fold: FoldSpec, horizon_days: int) -> None:
    """Refuse a fold that trains on labels from the window it is judged on.

    Raises:
        FailedPreconditionError: A training instant's window reaches past the judged instant.
    """
    horizon = timedelta(days=horizon_days)
    # An hour of daylight saving is no overlap.
    slack = timedelta(hours=2)
    for test in fold.test_as_ofs:
        for train in fold.train_as_ofs:
            if train + horizon > test + slack:
                raise FailedPreconditionError(
                    f"fold {fold.name!r} trains on {train:%Y-%m-%d}, whose window of "
                    f"{horizon_days} days reaches past {test:%Y-%m-%d}, on which it is judged; "
                    "leave that instant out",
                    reason="FOLD_LEAKS",
                    fold=fold.name,
                    train_as_of=train.isoformat(),
                    test_as_of=test.isoformat(),
                )


def require_blind(rows: Rows, feature_names: Sequence[str]) -> None:
    """Refuse a feature that tells alone who orders, as only the future can.

    Raises:
        FailedPreconditionError: There is one; the message names it.
    """
    eligible = np.flatnonzero(rows.eligible)
    places = eligible[:: max(len(eligible) // _MOST_ROWS, 1)]
    labels, once = rows.is_active[places], np.ones(len(places))
    if min(labels.sum(), (~labels).sum()) < _LEAST_OF_EACH_KIND:
        return
    for column, name in enumerate(feature_names):
        values = np.nan_to_num(rows.features[places, column].astype(np.float64), nan=-np.inf)
        sorted_right = auc(labels, values)(once)
        if max(sorted_right, 1.0 - sorted_right) > TOO_SURE:
            raise FailedPreconditionError(
                f"feature {name!r} alone tells who orders (AUC {sorted_right:.3f}), so it must "
                "know the future; take it out of the features",
                reason="FEATURE_KNOWS_THE_FUTURE",
                feature=name,
                auc=round(float(sorted_right), 4),
            )


def require_apart(user_keys: NumpyArray, group: NumpyArray) -> None:
    """Refuse groups of a cross-fit that share a user.

    Raises:
        FailedPreconditionError: A user's rows are in two groups; the message names one.
    """
    order = np.lexsort((group, user_keys))
    keys, groups = user_keys[order], group[order]
    torn = np.flatnonzero((keys[1:] == keys[:-1]) & (groups[1:] != groups[:-1]))
    if len(torn):
        user = f"{int(keys[torn[0]]):016x}"
        raise FailedPreconditionError(
            f"user {user} is in two groups of the cross-fit, so a member would be judged on users "
            "that it was fitted to",
            reason="USER_IN_BOTH_HALVES",
            user=user,
        )
