"""What a model has to beat: logistic regression on the same features, and recency alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from services.training.evaluation.probability import log_loss
from services.training.evaluation.ranking import Floats

STRENGTHS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0)
"""Values of C tried, strongest regularisation first."""


@dataclass(frozen=True)
class Split:
    """Rows to fit on and rows to choose C on."""

    fit: NDArray[np.bool_]
    judge: NDArray[np.bool_]


@dataclass(frozen=True)
class LogisticBaseline:
    """A fitted logistic regression."""

    coefficients: Floats
    intercept: float
    strength: float

    def probabilities(self, scaled: Floats) -> Floats:
        """Probability of being active per row."""
        return _sigmoid(scaled @ self.coefficients + self.intercept)


def earlier_window(as_ofs: NDArray[np.int64], horizon: int, least_rows: int = 200) -> Split | None:
    """Judge on the last instant, fit on those whose horizon ended before it; None if too few.

    Args:
        as_ofs: Instant of each row, in any unit.
        horizon: Length of a label window in the same unit.
        least_rows: Least number of rows on either side.
    """
    last = as_ofs.max()
    split = Split(fit=as_ofs + horizon <= last, judge=as_ofs == last)
    return split if min(split.fit.sum(), split.judge.sum()) >= least_rows else None


def fit_logistic(
    scaled: Floats, is_active: NDArray[np.bool_], splits: Sequence[Split]
) -> LogisticBaseline:
    """Fit on all rows with the C that gave the least log loss over the splits.

    Args:
        scaled: Features as the model sees them: signed log1p, imputed, standardised.
        is_active: What happened.
        splits: One earlier window, or the parts of a cross-validation grouped by user.
    """
    usable = [s for s in splits if len(set(is_active[s.fit])) == 2 and s.judge.any()]
    losses = {c: sum(_loss(scaled, is_active, s, c) for s in usable) for c in STRENGTHS}
    best = min(losses, key=lambda c: (losses[c], c)) if usable else STRENGTHS[3]
    return fit_at_strength(scaled, is_active, best)


@dataclass(frozen=True)
class RecencyBaseline:
    """The rule "who ordered last comes first", with a probability fitted to recency alone."""

    coefficients: Floats
    intercept: float

    def probabilities(self, recency_days: Floats) -> Floats:
        """Probability of being active per row; a missing recency counts as ten years."""
        return _sigmoid(_log_days(recency_days) @ self.coefficients + self.intercept)


def fit_recency(recency_days: Floats, is_active: NDArray[np.bool_]) -> RecencyBaseline:
    """Fit the rule's probability; its order of users is minus recency, whatever the fit."""
    fitted = fit_at_strength(_log_days(recency_days), is_active, 1.0)
    return RecencyBaseline(fitted.coefficients, fitted.intercept)


def recency_scores(recency_days: Floats) -> Floats:
    """Higher is more recent; a missing recency comes last."""
    return -np.nan_to_num(recency_days.astype(np.float64), nan=3650.0)


def _log_days(recency_days: Floats) -> Floats:
    return np.log1p(np.maximum(-recency_scores(recency_days), 0.0))[:, None]


def _loss(scaled: Floats, is_active: NDArray[np.bool_], split: Split, strength: float) -> float:
    fitted = fit_at_strength(scaled[split.fit], is_active[split.fit], strength)
    probabilities = fitted.probabilities(scaled[split.judge])
    return log_loss(is_active[split.judge], probabilities)(np.ones(int(split.judge.sum())))


def fit_at_strength(
    scaled: Floats, is_active: NDArray[np.bool_], strength: float
) -> LogisticBaseline:
    """Fit with a given C; rows of one kind only give that kind's rate."""
    if is_active.all() or not is_active.any():
        rate = float(np.clip(is_active.mean(), 1e-4, 1.0 - 1e-4))
        return LogisticBaseline(
            np.zeros(scaled.shape[1]), float(np.log(rate / (1.0 - rate))), strength
        )
    regression = LogisticRegression(C=strength, solver="lbfgs", max_iter=2000, tol=1e-4)
    regression.fit(scaled.astype(np.float64), is_active)
    return LogisticBaseline(
        regression.coef_[0].astype(np.float64), float(regression.intercept_[0]), strength
    )


def _sigmoid(logits: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float64), -50.0, 50.0)))
