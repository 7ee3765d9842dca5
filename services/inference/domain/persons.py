"""Under which further keys a user of a snapshot is known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from services.inference.domain.prediction import Keys

UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Aliases:
    """Keys, ascending, and the row of the user that each stands for."""

    keys: Keys
    slots: NDArray[np.intp]


NO_ALIASES = Aliases(np.zeros(0, np.uint64), np.zeros(0, np.intp))


def find(ascending: Keys, wanted: Keys) -> NDArray[np.intp]:
    """Return the place of each key, or UNKNOWN."""
    if len(ascending) == 0:
        return np.full(len(wanted), UNKNOWN, np.intp)
    found = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.where(ascending[found] == wanted, found, UNKNOWN)


def aliases(user_keys: Keys, from_keys: Keys, to_keys: Keys) -> Aliases:
    """Return the keys that are joined to a user of a snapshot without being one.

    Args:
        user_keys: Users of the snapshot, ascending; a person has one of them.
        from_keys: One end of each pair of keys that are the same person.
        to_keys: The other end.
    """
    keys, places = np.unique(np.stack([from_keys, to_keys]), return_inverse=True)
    if len(keys) == 0:
        return NO_ALIASES
    ends = places.reshape(2, -1)
    graph = coo_array((np.ones(ends.shape[1], np.uint8), tuple(ends)), shape=(len(keys),) * 2)
    person_count, persons = connected_components(graph, directed=False)
    slots = find(user_keys, keys)
    is_user = slots != UNKNOWN
    slot_of_person = np.full(person_count, UNKNOWN, np.intp)
    slot_of_person[persons[is_user]] = slots[is_user]
    of_keys = slot_of_person[persons]
    is_alias = ~is_user & (of_keys != UNKNOWN)
    return Aliases(keys[is_alias], of_keys[is_alias])
