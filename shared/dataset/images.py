"""Datasets of labelled images on disk: Arrow shards of bytes, and a manifest."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.dataset.manifest import FORMAT_VERSION, read_values
from shared.dataset.staging import Staging, read_batches

KIND = "images"
PARTS = ("train", "validation", "test")
"""What a row is for: to fit on, to stop early on, to judge on."""

_SHARD_BYTES = 64_000_000


@dataclass(frozen=True)
class ImageRows:
    """Labelled images.

    Attributes:
        images: uint8 [row, height, width, channel].
        labels: int32 [row], places in the list of classes.
        parts: int8 [row], places in `PARTS`.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    parts: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ChannelStatistics:
    """Bytes of one channel over the training images."""

    mean: float
    std: float


@dataclass(frozen=True, kw_only=True)
class ImageManifest:
    """What a dataset of images holds and what it was made of."""

    name: str
    purpose: str
    predictions: tuple[str, ...]
    shape: tuple[int, int, int]
    """Height, width and channels of every image."""
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    """Rows of each part by class."""
    row_count: int
    content_hash: str
    shards: tuple[str, ...]
    statistics: tuple[ChannelStatistics, ...]
    source_files: Mapping[str, str]
    """SHA-256 of each file that was read, by its name."""
    kind: str = KIND
    format_version: int = FORMAT_VERSION

    def part_count(self, part: str) -> int:
        """Rows of a part."""
        return sum(self.counts[part])


class ImageDatasetReader:
    """The rows and the manifest of one dataset of images.

    Args:
        folder: What `Dataset.uri` names.

    Raises:
        FailedPreconditionError: There is no dataset of images, or one of another format.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        self._manifest = _manifest(read_values(self._folder, KIND))

    @property
    def manifest(self) -> ImageManifest:
        """What the dataset says of itself."""
        return self._manifest

    def part(self, name: str) -> ImageRows:
        """Return the rows of a part, in order."""
        code = PARTS.index(name)
        blocks = [_chosen(block, block.parts == code) for block in self._blocks()]
        return ImageRows(
            np.concatenate([block.images for block in blocks]),
            np.concatenate([block.labels for block in blocks]),
            np.concatenate([block.parts for block in blocks]),
        )

    def _blocks(self) -> Iterator[ImageRows]:
        for batch in read_batches(self._folder, self._manifest.shards):
            yield _from_arrow(batch, self._manifest.shape)


def write_images(
    folder: Path,
    rows: ImageRows,
    *,
    name: str,
    predictions: tuple[str, ...],
    classes: tuple[str, ...],
    source_files: Mapping[str, str],
) -> ImageManifest:
    """Write a dataset of images that is there whole or not at all; one that is there is replaced.

    Args:
        folder: Where the dataset shall be.
        rows: What it holds.
        name: datasets/{dataset}
        predictions: Names of the predictions it serves.
        classes: Names of the classes, in the order of the labels.
        source_files: SHA-256 of each file that was read.
    """
    height, width, channels = rows.images.shape[1:]
    with Staging(folder) as staging:
        for batch in _shards(rows):
            staging.write(batch)
        manifest = ImageManifest(
            name=name,
            purpose="training",
            predictions=predictions,
            shape=(height, width, channels),
            classes=classes,
            counts={
                part: tuple(
                    np.bincount(rows.labels[rows.parts == code], minlength=len(classes)).tolist()
                )
                for code, part in enumerate(PARTS)
            },
            row_count=len(rows),
            content_hash=content_hash(rows, classes),
            shards=staging.shards,
            statistics=_statistics(rows.images[rows.parts == PARTS.index("train")]),
            source_files=source_files,
        )
        staging.finish(manifest)
    return manifest


def content_hash(rows: ImageRows, classes: tuple[str, ...]) -> str:
    """SHA-256 over shape, classes and the values of each column."""
    whole = hashlib.sha256(json.dumps([rows.images.shape[1:], classes]).encode())
    for column in (rows.images, rows.labels, rows.parts):
        values = np.ascontiguousarray(column).view(np.uint8).reshape(-1)
        whole.update(hashlib.sha256(values.data).digest())
    return whole.hexdigest()


def _shards(rows: ImageRows) -> Iterator[pa.RecordBatch]:
    size = max(1, _SHARD_BYTES // rows.images[0].size)
    for start in range(0, len(rows), size):
        yield _to_arrow(_chosen(rows, slice(start, start + size)))


def _to_arrow(rows: ImageRows) -> pa.RecordBatch:
    flat = pa.array(np.ascontiguousarray(rows.images).reshape(-1))
    columns = {
        "image": pa.FixedSizeListArray.from_arrays(flat, rows.images[0].size),
        "label": pa.array(rows.labels, pa.int32()),
        "part": pa.DictionaryArray.from_arrays(pa.array(rows.parts, pa.int8()), list(PARTS)),
    }
    return pa.record_batch(columns)


def _from_arrow(batch: pa.RecordBatch, shape: tuple[int, int, int]) -> ImageRows:
    return ImageRows(
        batch.column("image").flatten().to_numpy().reshape(-1, *shape),
        batch.column("label").to_numpy(),
        batch.column("part").indices.to_numpy(),
    )


def _chosen(rows: ImageRows, chosen: Any) -> ImageRows:
    return ImageRows(rows.images[chosen], rows.labels[chosen], rows.parts[chosen])


def _statistics(images: npt.NDArray[np.uint8]) -> tuple[ChannelStatistics, ...]:
    """Exact, from how often each byte occurs."""
    values = np.arange(256, dtype=np.float64)
    found = []
    for channel in range(images.shape[-1]):
        counts = np.bincount(images[..., channel].reshape(-1), minlength=256)
        total = max(int(counts.sum()), 1)
        mean = float((counts * values).sum()) / total
        square = float((counts * values**2).sum()) / total
        found.append(ChannelStatistics(mean, float(np.sqrt(max(square - mean**2, 0.0)))))
    return tuple(found)


def _manifest(values: Mapping[str, Any]) -> ImageManifest:
    height, width, channels = values["shape"]
    return ImageManifest(
        name=values["name"],
        purpose=values["purpose"],
        predictions=tuple(values["predictions"]),
        shape=(height, width, channels),
        classes=tuple(values["classes"]),
        counts={part: tuple(each) for part, each in values["counts"].items()},
        row_count=values["row_count"],
        content_hash=values["content_hash"],
        shards=tuple(values["shards"]),
        statistics=tuple(ChannelStatistics(**each) for each in values["statistics"]),
        source_files=values["source_files"],
    )
