"""Labelled images out of a folder of npz or Parquet files."""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from services.feature.domain.image_errors import shape_of, unreadable
from services.feature.usecases.image_ports import ImageBlock
from shared.errors import InvalidArgumentError, NotFoundError

_SUFFIXES = (".npz", ".parquet")
_ROWS_A_BLOCK = 4_096

_GREY = ("1", "L", "LA")
_COLOUR = ("RGB", "RGBA", "P", "CMYK", "YCbCr")


class ImageFolder:
    """The `train*` and `test*` files of a folder, each npz or Parquet.

    npz files have the arrays `images`, uint8 [row, height, width] or [row, height, width, channel],
    and `labels`. Parquet files have a column `label` and one column of encoded images.

    Args:
        path: Absolute.

    Raises:
        InvalidArgumentError: The path is relative.
        NotFoundError: There is no such folder, or no train file in it.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_absolute():
            raise InvalidArgumentError(
                f"source.images: {path} is relative; send an absolute path",
                reason="IMAGES_PATH_RELATIVE",
                path=path,
            )
        if not path.is_dir():
            raise NotFoundError(
                f"source.images: there is no folder {path}; name the folder above it with --data",
                reason="IMAGES_NOT_FOUND",
                path=path,
            )
        files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
        self._train = [file for file in files if file.name.startswith("train")]
        self._test = [file for file in files if file.name.startswith("test")]
        if not self._train:
            raise NotFoundError(
                f"source.images: {path} holds no train*.npz and no train*.parquet; bring one",
                reason="IMAGES_NOT_FOUND",
                path=path,
            )

    def digests(self) -> dict[str, str]:
        """SHA-256 of each file by its name."""
        found = {}
        for file in (*self._train, *self._test):
            with file.open("rb") as stream:
                found[file.name] = hashlib.file_digest(stream, "sha256").hexdigest()
        return found

    def row_count(self) -> int:
        """Images in all files."""
        return sum(_row_count(file) for file in (*self._train, *self._test))

    def blocks(self) -> Iterator[ImageBlock]:
        """Yield all images, train files first, files by name.

        Raises:
            InvalidArgumentError: Something cannot be read; the message names file, row and field.
        """
        for files, is_test in ((self._train, False), (self._test, True)):
            for file in files:
                read = _npz_blocks if file.suffix == ".npz" else _parquet_blocks
                for first_row, images, labels in read(file):
                    yield ImageBlock(file.name, first_row, is_test, images, labels)


_Block = tuple[int, npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def _row_count(file: Path) -> int:
    if file.suffix == ".npz":
        return len(_npz_array(file, "labels"))
    return int(_parquet(file).metadata.num_rows)


def _npz_blocks(file: Path) -> Iterator[_Block]:
    images, labels = _npz_array(file, "images"), _npz_array(file, "labels")
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or 0 in images.shape[1:]:
        raise unreadable(
            file.name,
            "images",
            f"must be uint8 [row, height, width] or [row, height, width, channel], not "
            f"{images.dtype} {list(images.shape)}",
        )
    if labels.ndim != 1 or len(labels) != len(images):
        raise unreadable(
            file.name, "labels", f"has shape {list(labels.shape)} for {len(images)} images"
        )
    whole = _whole(file.name, "labels", labels)
    images = images if images.ndim == 4 else images[..., None]
    for start in range(0, len(images), _ROWS_A_BLOCK):
        rows = slice(start, start + _ROWS_A_BLOCK)
        yield start, images[rows], whole[rows]


def _npz_array(file: Path, field: str) -> npt.NDArray[Any]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            if field not in arrays.files:
                raise unreadable(
                    file.name, field, f"there is no such array; there are {', '.join(arrays.files)}"
                )
            array: npt.NDArray[Any] = arrays[field]
            return array
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise unreadable(file.name, field, f"cannot be read as npz: {error}") from error


def _parquet(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(file.name, "", f"cannot be read as Parquet: {error}") from error


def _parquet_blocks(file: Path) -> Iterator[_Block]:
    table = _parquet(file)
    schema = table.schema_arrow
    encoded = [each.name for each in schema if _is_binary(each.type)]
    if "label" not in schema.names:
        raise unreadable(
            file.name, "label", f"there is no such column; there are {', '.join(schema.names)}"
        )
    if len(encoded) != 1:
        raise unreadable(
            file.name,
            "",
            f"must have one column of encoded images as binary, not {len(encoded)} "
            f"among {', '.join(schema.names)}",
        )
    first_row = 0
    for batch in table.iter_batches(_ROWS_A_BLOCK, columns=["label", encoded[0]]):
        labels = batch.column("label")
        if not pa.types.is_integer(labels.type):
            raise unreadable(
                file.name, "label", f"must be whole numbers, not {labels.type} or null"
            )
        if labels.null_count:
            row = first_row + labels.is_null().to_pylist().index(True)
            raise unreadable(file.name, "label", "is missing", row)
        images = _decoded(file.name, encoded[0], first_row, batch.column(encoded[0]).to_pylist())
        yield first_row, images, labels.to_numpy().astype(np.int64)
        first_row += batch.num_rows


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _decoded(
    file: str, field: str, first_row: int, encoded: list[bytes | None]
) -> npt.NDArray[np.uint8]:
    images: list[npt.NDArray[np.uint8]] = []
    for row, content in enumerate(encoded, first_row):
        image = _image(file, field, row, content)
        if images and image.shape != images[0].shape:
            raise unreadable(
                file, field, f"{shape_of(image)} where others are {shape_of(images[0])}", row
            )
        images.append(image)
    return np.stack(images)


def _image(file: str, field: str, row: int, content: bytes | None) -> npt.NDArray[np.uint8]:
    # Only those who train have the library; the service starts without it.
    from PIL import Image

    if content is None:
        raise unreadable(file, field, "is missing", row)
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.mode not in (*_GREY, *_COLOUR):
                raise unreadable(
                    file, field, f"has pixels of kind {image.mode}; store 8 bits a channel", row
                )
            grey = image.mode in _GREY
            pixels = np.asarray(image.convert("L" if grey else "RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise unreadable(file, field, "is no image that can be decoded", row) from error
    return pixels[..., None] if grey else pixels


def _whole(file: str, field: str, labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if labels.dtype.kind not in "iu":
        raise unreadable(file, field, f"must be whole numbers, not {labels.dtype}")
    return labels.astype(np.int64)
