"""What building a dataset of images needs of the world."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ImageBlock:
    """Images that follow one another in a file.

    Attributes:
        file: Its name.
        first_row: Place of the first image in the file, from 0.
        is_test: Whether they are there to judge a model.
        images: uint8 [row, height, width, channel].
        labels: int64 [row].
    """

    file: str
    first_row: int
    is_test: bool
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


class ImageSource(Protocol):
    """Labelled images from somewhere."""

    def digests(self) -> Mapping[str, str]:
        """SHA-256 of each file by its name."""

    def row_count(self) -> int:
        """Images in all files."""

    def blocks(self) -> Iterator[ImageBlock]:
        """Yield all images in order."""
