"""How sure a measured number is: the bootstrap over users, paired between models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.training.evaluation.ranking import Floats, Metric


@dataclass(frozen=True)
class Estimate:
    """A measured number and its standard error; both may be NaN where it is not defined."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class Difference:
    """One model's number minus another's on the same users."""

    value: float
    standard_error: float
    low: float
    high: float
    """`low` and `high`: the middle 95 % of bootstrap differences."""


@dataclass(frozen=True)
class Scores:
    """Every metric of one model, measured once on the users and once per bootstrap sample."""

    values: Mapping[str, float]
    samples: Mapping[str, Floats]

    def estimate(self, metric: str) -> Estimate:
        """The number measured and its standard error."""
        return Estimate(self.values[metric], _spread(self.samples[metric]))

    def minus(self, other: "Scores", metric: str) -> Difference:
        """Difference to another model on the same users, drawn the same way in each sample."""
        differences = self.samples[metric] - other.samples[metric]
        defined = differences[np.isfinite(differences)]
        low, high = np.quantile(defined, [0.025, 0.975]) if len(defined) else (np.nan, np.nan)
        return Difference(
            self.values[metric] - other.values[metric],
            _spread(differences),
            float(low),
            float(high),
        )


def draws(user_count: int, sample_count: int, seed: int) -> Floats:
    """How often each sample drew each user: [sample, user]; a row sums to the user count."""
    generator = np.random.default_rng(seed)
    rows = [
        np.bincount(generator.integers(0, user_count, user_count), minlength=user_count)
        for _ in range(sample_count)
    ]
    return np.stack(rows).astype(np.float64)


def measure(metrics: Mapping[str, Metric], samples: Floats) -> Scores:
    """Measure one model's metrics on the users as they are and on every bootstrap sample."""
    once = np.ones(samples.shape[1])
    return Scores(
        values={name: metric(once) for name, metric in metrics.items()},
        samples={
            name: np.array([metric(weights) for weights in samples])
            for name, metric in metrics.items()
        },
    )


def estimates(scores: Scores) -> dict[str, Any]:
    """Every metric with its standard error, as JSON; a number that is not defined is None."""
    measured = {name: scores.estimate(name) for name in scores.values}
    return {
        name: {"value": _finite(each.value), "se": _finite(each.standard_error)}
        for name, each in measured.items()
    }


def comparisons(scores: Mapping[str, Scores]) -> list[dict[str, Any]]:
    """The model minus each other one, metric by metric, as JSON."""
    model = scores["model"]
    rows = []
    for baseline in (name for name in scores if name != "model"):
        for metric in model.values:
            difference = model.minus(scores[baseline], metric)
            rows.append(
                {
                    "metric": metric,
                    "baseline": baseline,
                    "difference": _finite(difference.value),
                    "se": _finite(difference.standard_error),
                    "low": _finite(difference.low),
                    "high": _finite(difference.high),
                }
            )
    return rows


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _spread(values: Floats) -> float:
    defined = values[np.isfinite(values)]
    return float(np.std(defined, ddof=1)) if len(defined) > 1 else float("nan")
