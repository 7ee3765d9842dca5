"""Builds datasets of images: reads, checks, parts, files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from services.feature.domain.image_errors import shape_of, unreadable
from services.feature.domain.image_parts import fingerprints, parts_of
from services.feature.domain.rules import Rule, require
from services.feature.usecases.explanation import Explanation
from services.feature.usecases.image_ports import ImageBlock, ImageSource
from services.feature.usecases.ports import Unwatched, Watched
from shared.config.images import ImagePrediction
from shared.dataset.images import PARTS, ImageManifest, ImageRows, write_images
from shared.errors import FailedPreconditionError

LEAST_ROWS_OF_A_CLASS = 10
"""Fewer give no validation and no test image of the class."""

_MOST_CLASSES = 1_000


def build_images(
    name: str, question: ImagePrediction, source: ImageSource, folder: Path, job: Watched
) -> ImageManifest:
    """Build a dataset of images in a folder, whole or not at all.

    Args:
        name: datasets/{dataset}
        question: What is asked.
        source: The images.
        folder: Where the dataset shall be.
        job: Hears progress.

    Raises:
        InvalidArgumentError: An image or a label is wrong; the message names file, row and field.
        FailedPreconditionError: There are too few images.
    """
    rows, classes = _read(question, source, job)
    require(_rules(rows, classes), "Bring more images")
    total = len(rows)
    job.raise_if_cancelled()
    job.progress(total, total, "images", "writing")
    return write_images(
        folder,
        rows,
        name=name,
        predictions=(question.name,),
        classes=classes,
        source_files=source.digests(),
    )


def explain_images(question: ImagePrediction, source: ImageSource) -> Explanation:
    """Say what a dataset of images would hold; builds nothing.

    Raises:
        InvalidArgumentError: An image or a label is wrong; the message names file, row and field.
        FailedPreconditionError: There is no image.
    """
    rows, classes = _read(question, source, Unwatched())
    judged = int((rows.parts == PARTS.index("test")).sum())
    return Explanation(
        row_count=len(rows),
        folds={"evaluation": (len(rows) - judged, judged)},
        features=("images",),
        excluded={},
        rules=_rules(rows, classes),
    )


def _read(
    question: ImagePrediction, source: ImageSource, job: Watched
) -> tuple[ImageRows, tuple[str, ...]]:
    """All images with their parts, and the names of their classes."""
    total = source.row_count()
    job.progress(0, total, "images", "reading images")
    blocks: list[ImageBlock] = []
    done = 0
    for block in _checked(source.blocks(), question.classes):
        job.raise_if_cancelled()
        blocks.append(block)
        done += len(block.labels)
        job.progress(done, total, "images", "reading images")
    if not done:
        raise FailedPreconditionError(
            "the train files hold no image; bring some", reason="TOO_FEW_IMAGES", rows=0
        )
    images = np.concatenate([block.images for block in blocks])
    labels = np.concatenate([block.labels for block in blocks])
    is_test = np.concatenate([np.full(len(block.labels), block.is_test) for block in blocks])
    blocks.clear()
    parts = parts_of(fingerprints(images), labels, is_test)
    classes = question.classes or tuple(map(str, range(int(labels[~is_test].max()) + 1)))
    return ImageRows(images, labels.astype(np.int32), parts), classes


def _checked(blocks: Iterator[ImageBlock], classes: tuple[str, ...]) -> Iterator[ImageBlock]:
    """Pass blocks on whose images are of the first one's size and whose labels are known."""
    first: ImageBlock | None = None
    highest = -1
    for block in blocks:
        first = first or block
        if block.images.shape[1:] != first.images.shape[1:]:
            raise unreadable(
                block.file,
                "images",
                f"{shape_of(block.images[0])} where those of {first.file} are "
                f"{shape_of(first.images[0])}",
                block.first_row,
            )
        count = len(classes) or (highest + 1 if block.is_test else _MOST_CLASSES)
        wrong = np.flatnonzero((block.labels < 0) | (block.labels >= count))
        if len(wrong):
            raise unreadable(
                block.file,
                "label",
                f"is {block.labels[wrong[0]]}; labels go from 0 to {count - 1}"
                + (", as target.classes has it" if classes else ""),
                block.first_row + int(wrong[0]),
            )
        highest = max(highest, int(block.labels.max(initial=-1)))
        yield block


def _rules(rows: ImageRows, classes: tuple[str, ...]) -> tuple[Rule, ...]:
    """Measure images against the least needed."""
    fitted = np.bincount(rows.labels[rows.parts != PARTS.index("test")], minlength=len(classes))
    rarest = int(fitted.argmin())
    return (
        Rule("classes", len(classes), 2),
        Rule(f"images_of_class_{classes[rarest]}", int(fitted[rarest]), LEAST_ROWS_OF_A_CLASS),
    )
