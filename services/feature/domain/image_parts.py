"""Which images fit, stop and judge a model: chosen by what they show, not by where they stand."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from shared.dataset.images import PARTS

TEST_SHARE = 1 / 6
"""Taken out for judging where the source has no test files: one image for every five fitted on."""

VALIDATION_SHARE = 0.1
"""Of the images not judged on."""

_TRAIN, _VALIDATION, _TEST = range(len(PARTS))


def fingerprints(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """A hash of each image's pixels: equal images have equal ones."""
    flat = np.ascontiguousarray(images).reshape(len(images), -1)
    return np.fromiter((xxhash.xxh3_64_intdigest(row.data) for row in flat), np.uint64, len(flat))


def parts_of(
    prints: npt.NDArray[np.uint64],
    labels: npt.NDArray[Any],
    is_test: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int8]:
    """The part of each image, in equal shares of every class.

    Images of a class that show the same are in the same part. Order and file names do not matter.

    Args:
        prints: `fingerprints` of the images.
        labels: Their classes.
        is_test: Whether they come from a test file; if none does, some are taken out.
    """
    parts = np.full(len(labels), _TRAIN, np.int8)
    parts[is_test] = _TEST
    if not is_test.any():
        parts[_lowest(prints, labels, parts == _TRAIN, TEST_SHARE)] = _TEST
    parts[_lowest(prints, labels, parts == _TRAIN, VALIDATION_SHARE)] = _VALIDATION
    return parts


def _lowest(
    prints: npt.NDArray[np.uint64],
    labels: npt.NDArray[Any],
    among: npt.NDArray[np.bool_],
    share: float,
) -> npt.NDArray[np.bool_]:
    """Of each class the share with the lowest hashes: a random choice, the same every time."""
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels[among]):
        candidates = among & (labels == label)
        count = round(share * int(candidates.sum()))
        if count:
            highest = np.sort(prints[candidates])[count - 1]
            chosen |= candidates & (prints <= highest)
    return chosen
