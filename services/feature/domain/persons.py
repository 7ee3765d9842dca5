"""Who is one person, as known at an instant."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Keys = npt.NDArray[np.uint64]
Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Edges:
    """Pairs of keys that one event named together, with the instant (ms) it happened."""

    from_keys: Keys
    to_keys: Keys
    event_ms: Times


@dataclass(frozen=True)
class FirstSeen:
    """The first event (ms) of keys under which a user was identified."""

    user_keys: Keys
    event_ms: Times


@dataclass(frozen=True)
class Members:
    """Which person a key belongs to at a run of instants, first and last included.

    A key may belong to several persons: those who turn out to be one within the horizon each have
    the whole label. Keys that are not listed are persons of their own.
    """

    keys: Keys
    persons: Keys
    first_index: npt.NDArray[np.uint16]
    last_index: npt.NDArray[np.uint16]


def persons_at(edges: Edges, seen: FirstSeen, before_ms: int) -> tuple[Keys, Keys]:
    """Return the keys that edges before an instant join, and the person of each.

    A person goes by the user key that was identified first (the smaller key on a tie), so that a
    later edge does not rename them. Keys joined to nobody identified so far are left out.
    """
    known = edges.event_ms < before_ms
    pairs = np.stack([edges.from_keys[known], edges.to_keys[known]])
    keys, inverse = np.unique(pairs, return_inverse=True)
    places = inverse.reshape(2, -1)
    size = len(keys)
    if size == 0:
        return keys, keys
    graph = coo_array(
        (np.ones(places.shape[1], np.uint8), (places[0], places[1])), shape=(size, size)
    )
    _, component = connected_components(graph, directed=False)

    first = _first_seen(keys, seen, before_ms)
    order = np.lexsort((keys, first, component))
    _, heads = np.unique(component[order], return_index=True)
    leaders = order[heads]
    is_identified = (first[leaders] < before_ms)[component]
    return keys[is_identified], keys[leaders][component][is_identified]


def feature_members(edges: Edges, seen: FirstSeen, instants_ms: Sequence[int]) -> Members:
    """Return who is who when features are read: edges before each instant count."""
    keys = _joined_keys(edges)
    rows = []
    for index, before_ms in enumerate(instants_ms):
        persons = persons_of(keys, *persons_at(edges, seen, before_ms))
        is_known = _first_seen(persons, seen, before_ms) < before_ms
        rows.append((keys[is_known], persons[is_known], np.full(is_known.sum(), index)))
    return _runs(rows)


def label_members(
    edges: Edges, seen: FirstSeen, instants_ms: Sequence[int], ends_ms: Sequence[int]
) -> Members:
    """Return whose label a key counts for: edges before the end of each label window count.

    Args:
        edges: All edges known.
        seen: When user keys were first seen.
        instants_ms: The instants of the rows.
        ends_ms: The ends of their label windows.
    """
    keys = _joined_keys(edges)
    rows = []
    for index, (instant_ms, end_ms) in enumerate(zip(instants_ms, ends_ms, strict=True)):
        was = persons_of(keys, *persons_at(edges, seen, instant_ms))
        becomes = persons_of(keys, *persons_at(edges, seen, end_ms))
        is_known = _first_seen(was, seen, instant_ms) < instant_ms
        bearers = np.unique(np.stack([becomes[is_known], was[is_known]]), axis=1)
        low = np.searchsorted(bearers[0], becomes)
        counts = np.searchsorted(bearers[0], becomes, "right") - low
        places = np.repeat(low - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        rows.append((np.repeat(keys, counts), bearers[1][places], np.full(len(places), index)))
    return _runs(rows)


def _joined_keys(edges: Edges) -> Keys:
    return np.unique(np.concatenate([edges.from_keys, edges.to_keys]))


def persons_of(keys: Keys, listed: Keys, persons: Keys) -> Keys:
    """Return the person of each key; `listed` is sorted, keys not listed stay as they are."""
    if len(listed) == 0:
        return keys
    places = np.minimum(np.searchsorted(listed, keys), len(listed) - 1)
    return np.where(listed[places] == keys, persons[places], keys)


def _first_seen(keys: Keys, seen: FirstSeen, before_ms: int) -> Times:
    """Return when each key was first seen as a user; `before_ms` when not by then."""
    first = np.full(len(keys), before_ms, np.int64)
    if len(seen.user_keys):
        order = np.argsort(seen.user_keys)
        listed, times = seen.user_keys[order], seen.event_ms[order]
        places = np.minimum(np.searchsorted(listed, keys), len(listed) - 1)
        first = np.where(listed[places] == keys, np.minimum(times[places], before_ms), first)
    return first


def _runs(rows: list[tuple[Keys, Keys, npt.NDArray[np.int64]]]) -> Members:
    """Join rows of neighbouring instants at which a person has the same keys.

    All keys of a person get the same runs, so that their events can be grouped by person and run.
    """
    keys = np.concatenate([row[0] for row in rows])
    persons = np.concatenate([row[1] for row in rows])
    index = np.concatenate([row[2] for row in rows])
    order = np.lexsort((index, persons, keys))
    keys, persons, index = keys[order], persons[order], index[order]
    group = _groups(keys, persons, index)
    starts = np.ones(len(keys), np.bool_)
    starts[1:] = (
        (keys[1:] != keys[:-1])
        | (persons[1:] != persons[:-1])
        | (index[1:] != index[:-1] + 1)
        | (group[1:] != group[:-1])
    )
    first = np.flatnonzero(starts)
    last = np.append(first[1:], len(keys))[: len(first)] - 1
    return Members(
        keys[first],
        persons[first],
        index[first].astype(np.uint16),
        index[last].astype(np.uint16),
    )


def _groups(keys: Keys, persons: Keys, index: npt.NDArray[np.int64]) -> Keys:
    """Return for each row a number that tells the set of keys its person has at its instant."""
    pairs = np.stack([persons, index.astype(np.uint64)], axis=1)
    _, place = np.unique(pairs, axis=0, return_inverse=True)
    mixed = (keys ^ (keys >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    sums = np.zeros(place.max(initial=-1) + 1, np.uint64)
    np.add.at(sums, place.reshape(-1), mixed * np.uint64(0xBF58476D1CE4E5B9))
    return sums[place.reshape(-1)]
