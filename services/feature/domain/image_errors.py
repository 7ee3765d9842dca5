"""How a fault in a file of images is told."""

from typing import Any

import numpy.typing as npt

from shared.errors import InvalidArgumentError


def unreadable(file: str, field: str, problem: str, row: int | None = None) -> InvalidArgumentError:
    """Return the error for one place in a file.

    >>> unreadable("train.npz", "labels", "is 11 of 10 classes", 4).message
    'train.npz, row 4, labels: is 11 of 10 classes'
    """
    parts = (file, "" if row is None else f"row {row}", field)
    place = ", ".join(part for part in parts if part)
    return InvalidArgumentError(
        f"{place}: {problem}",
        reason="IMAGES_UNREADABLE",
        file=file,
        row="" if row is None else row,
        field=field,
    )


def shape_of(image: npt.NDArray[Any]) -> str:
    """The size of an image in words.

    >>> import numpy as np
    >>> shape_of(np.zeros((2, 3, 1)))
    '2 x 3 pixels of 1 channel'
    """
    height, width, channels = image.shape
    return f"{height} x {width} pixels of {channels} channel{'s' if channels > 1 else ''}"
