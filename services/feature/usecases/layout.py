"""Lays computed rows out as a dataset: folds, columns, shards."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from services.feature.domain.plan import FoldPlan
from services.feature.domain.rules import Survey
from services.feature.domain.segments import segment_limits_micros
from shared.dataset import DatasetArrays, FeatureColumn, FoldSpec
from shared.features import Aggregate, Feature
from shared.features.calendar import Instant

_ROWS_A_SHARD = 262_144


def survey_of(arrays: DatasetArrays, instants: Sequence[Instant]) -> Survey:
    """Count eligible and active users at each instant."""
    times = np.array([instant.time_ms for instant in instants], "datetime64[ms]")
    indices = np.searchsorted(times, arrays.as_ofs[arrays.eligible])
    active: Any = arrays.active if arrays.active is not None else np.zeros(len(arrays), np.uint8)
    size = len(instants)
    return Survey(
        tuple(np.bincount(indices, minlength=size).tolist()),
        tuple(np.bincount(indices[active[arrays.eligible] > 0], minlength=size).tolist()),
    )


def fold_spec(plan: FoldPlan, instants: Sequence[Instant], arrays: DatasetArrays) -> FoldSpec:
    """Return a fold with the segment limits of its last training instant."""
    last = np.datetime64(instants[plan.train[-1]].time_ms, "ms")
    assert arrays.spend_micros is not None
    spend = arrays.spend_micros[arrays.eligible & (arrays.as_ofs == last)]
    return FoldSpec(
        plan.name,
        tuple(instants[index].time for index in plan.train),
        tuple(instants[index].time for index in plan.test),
        segment_limits_micros(spend),
    )


def column_of(feature: Feature) -> FeatureColumn:
    """Return how the manifest describes a feature."""
    expression = feature.expression
    kind = (
        expression.function.value
        if isinstance(expression, Aggregate)
        else type(expression).__name__.lower()
    )
    return FeatureColumn(feature.name, feature.label, kind, feature.unit)


def shards_of(arrays: DatasetArrays) -> list[DatasetArrays]:
    """Cut rows between users; keys are hashes, so a run of keys is a random share of users."""
    cuts = [0]
    while cuts[-1] < len(arrays):
        end = min(cuts[-1] + _ROWS_A_SHARD, len(arrays))
        if end < len(arrays):
            end = int(np.searchsorted(arrays.user_keys, arrays.user_keys[end], "left"))
            if end <= cuts[-1]:
                end = int(np.searchsorted(arrays.user_keys, arrays.user_keys[cuts[-1]], "right"))
        cuts.append(end)
    if len(cuts) == 1:
        return [arrays]
    return [arrays.rows(slice(low, high)) for low, high in pairwise(cuts)]
