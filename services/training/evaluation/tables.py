"""Tables that a report draws: lift and gain by decile, calibration by bin."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from services.training.evaluation.ranking import Floats


def lift_table(
    probabilities: Floats, is_active: NDArray[np.bool_], spend: Floats
) -> list[Mapping[str, float]]:
    """Users cut into ten equal parts by falling probability, and what each part did.

    `lift` is the part's rate over the rate of all; `gain` the share of all active users found in
    this part and those above it.
    """
    order = np.argsort(-probabilities, kind="stable")
    everyone = max(float(is_active.mean()), 1e-12)
    found = 0.0
    rows: list[Mapping[str, float]] = []
    for number, part in enumerate(np.array_split(order, 10), start=1):
        if not len(part):
            continue
        found += float(is_active[part].sum())
        rate = float(is_active[part].mean())
        rows.append(
            {
                "decile": number,
                "users": len(part),
                "active_rate": rate,
                "lift": rate / everyone,
                "gain": found / max(float(is_active.sum()), 1e-12),
                "spend": float(spend[part].sum()),
            }
        )
    return rows


_WORDS = ((0.9, "excellent"), (0.8, "very good"), (0.7, "good"), (0.6, "fair"))


def lift_word(auc: float) -> str:
    """How well users are sorted, in a word for people.

    >>> lift_word(0.76), lift_word(0.5), lift_word(float("nan"))
    ('good', 'weak', 'unknown')
    """
    if np.isnan(auc):
        return "unknown"
    return next((word for least, word in _WORDS if auc >= least), "weak")


def calibration_table(
    probabilities: Floats, is_active: NDArray[np.bool_], bins: int = 10
) -> list[Mapping[str, float]]:
    """Mean predicted probability beside the rate seen, in bins of equal numbers of users."""
    order = np.argsort(probabilities, kind="stable")
    rows: list[Mapping[str, float]] = [
        {
            "bin": number,
            "predicted": float(probabilities[part].mean(dtype=np.float64)),
            "observed": float(is_active[part].mean()),
            "count": len(part),
        }
        for number, part in enumerate(np.array_split(order, bins), start=1)
        if len(part)
    ]
    return rows
