"""The three image sets of the paper's Table 2 as arrays of bytes, read from `../shared/data`."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.machine import ROOT

_DATA = ROOT.parent / "shared" / "data"
_CACHE = ROOT / ".cache" / "images"
Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Rows = tuple[Bytes, Bytes]


@dataclass(frozen=True)
class ImageSet:
    """Images [row, height, width, channel] and labels, for training and for testing.

    Args:
        folder: Holds `train.npz` and `test.npz`, each with `images` and `labels`.
    """

    name: str
    folder: Path
    shape: tuple[int, int, int]
    classes: int
    train_count: int
    test_count: int


def image_set(name: str) -> ImageSet:
    """The set of that name, decoded once.

    MNIST and CIFAR-10 have a test half of their own. Of Flowers the last sixth is set apart:
    training to test is 5 : 1, as in the paper.
    """
    train, test = {"mnist": _mnist, "cifar10": _cifar10, "flowers": _flowers}[name]()
    folder = _CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    for part, (images, labels) in {"train": train, "test": test}.items():
        np.savez(folder / f"{part}.npz", images=images, labels=labels)
    height, width, channels = train[0].shape[1:]
    classes = int(train[1].max()) + 1
    shape = (height, width, channels)
    return ImageSet(name, folder, shape, classes, len(train[0]), len(test[0]))


def _mnist() -> tuple[Rows, Rows]:
    train, test = (_npz(_DATA / "mnist" / f"{part}.npz") for part in ("train", "test_a"))
    return train, test


def _npz(path: Path) -> Rows:
    with np.load(path) as kept:
        images, labels = kept["images"], kept["labels"]
    return (images if images.ndim == 4 else images[..., None]), labels.astype(np.uint8)


def _cifar10() -> tuple[Rows, Rows]:
    train, test = (_jpegs(_DATA / "cifar10" / f"{part}.parquet") for part in ("train", "test_a"))
    return train, test


def _jpegs(path: Path) -> Rows:
    table = pq.read_table(path)
    pixels = [np.asarray(Image.open(io.BytesIO(each.as_py()))) for each in table["jpeg"]]
    return np.stack(pixels), table["label"].to_numpy().astype(np.uint8)


def _flowers() -> tuple[Rows, Rows]:
    images, labels = _npz(_DATA / "flowers" / "train_64.npz")
    kept = len(images) - len(images) // 6
    return (images[:kept], labels[:kept]), (images[kept:], labels[kept:])
