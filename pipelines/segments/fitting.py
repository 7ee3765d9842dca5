"""A fit of segments: groups of embeddings with ids and names that outlive refits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.segments.clusters import centres_of, nearest
from pipelines.segments.kept import Retired, Segment, Segmentation
from pipelines.segments.matching import (
    LEAST_LIKENESS,
    LEAST_OVERLAP,
    likeness,
    matched,
    overlap,
)
from pipelines.segments.naming import AXES, named
from pipelines.segments.profiles import Facts, group_means, standing

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def fitted(
    points: Floats,
    facts: Facts,
    *,
    model_version: str,
    dataset_hash: str,
    last: Segmentation | None,
    before: Labels | None,
) -> Segmentation:
    """Group customers, and give each group the id and the name it had in the last fit.

    Args:
        points: Embeddings of customers who have ordered.
        facts: Of the same customers.
        model_version: Whose embeddings they are.
        dataset_hash: Of the customers.
        last: The last fit, where there was one.
        before: Place of each customer's segment in the last fit; None where its model cannot read
            today's features, and segments are matched by where their customers stand instead.
    """
    centres = centres_of(points, before)
    labels = nearest(points, centres)
    # An empty group, of points that coincide, is none.
    centres = centres[np.unique(labels)]
    labels = nearest(points, centres)
    places = np.column_stack([standing(facts.features[axis]) for axis in AXES])
    standings = group_means(places, labels, len(centres))
    olds = () if last is None else last.segments
    if last is None:
        pairs: dict[int, int] = {}
    elif before is None:
        pairs = matched(likeness(last.standings, standings), LEAST_LIKENESS)
    else:
        pairs = matched(overlap(before, labels, len(olds), len(centres)), LEAST_OVERLAP)

    retired = () if last is None else last.retired
    taken = {each.name for each in olds} | {each.name for each in retired}
    next_id = max([0, *(each.id for each in olds), *(each.id for each in retired)]) + 1
    segments, appeared = [], []
    for group in _most_valuable_first(labels, len(centres), facts.value):
        if group in pairs:
            old = olds[pairs[group]]
            number, name = old.id, old.name
        else:
            orders = float(np.median(facts.features["orders_ever"][labels == group]))
            name = named(dict(zip(AXES, standings[group].tolist(), strict=True)), orders, taken)
            number, next_id = next_id, next_id + 1
            taken.add(name)
            appeared.append(name)
        segments.append(
            Segment(number, name, tuple(centres[group].tolist()), tuple(standings[group].tolist()))
        )
    gone = [each for place, each in enumerate(olds) if place not in pairs.values()]
    return Segmentation(
        model_version=model_version,
        dataset_hash=dataset_hash,
        segments=tuple(sorted(segments, key=lambda segment: segment.id)),
        retired=(*retired, *(Retired(each.id, each.name) for each in gone)),
        appeared=() if last is None else tuple(appeared),
        gone=tuple(each.name for each in gone),
    )


def _most_valuable_first(labels: Labels, count: int, value: Floats) -> list[int]:
    means = [float(value[labels == group].mean()) for group in range(count)]
    return sorted(range(count), key=lambda group: (-means[group], group))
