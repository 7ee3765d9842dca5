"""Which rows of a table judge in which part of a cross-validation."""

import numpy as np
import numpy.typing as npt
import xxhash

from services.feature.domain.table_columns import ReadColumn


def groups_of(
    read: tuple[ReadColumn, ...], names: list[str] | None = None
) -> npt.NDArray[np.uint64]:
    """A number for each row, equal for rows that must be judged together.

    Rows of one name are, and where names do not repeat so are rows whose cells are all the same.

    Args:
        read: The columns.
        names: What `id` says of each row; None where the question has no `id`.
    """
    if names is not None and len(set(names)) < len(names):
        return np.fromiter(map(_hash, names), np.uint64, len(names))
    columns = [each.cells.tolist() for each in read]
    rows = zip(*columns, strict=True)
    return np.fromiter((_hash(repr(row)) for row in rows), np.uint64, len(columns[0]))


def folds_of(
    groups: npt.NDArray[np.uint64], labels: npt.NDArray[np.bool_], count: int
) -> npt.NDArray[np.int8]:
    """The fold of each row: equal shares of both answers, groups whole, the order without effect.

    Args:
        groups: Of `groups_of`.
        labels: The answers.
        count: Folds there shall be.
    """
    found, first = np.unique(groups, return_index=True)
    fold_of = np.zeros(len(found), np.int8)
    start = 0
    for answer in (False, True):
        # Groups ascend by their hash, which is a random choice, the same every time.
        places = np.flatnonzero(labels[first] == answer)
        fold_of[places] = (start + np.arange(len(places))) % count
        start += len(places)
    return fold_of[np.searchsorted(found, groups)]


def _hash(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode())
