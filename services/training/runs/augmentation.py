"""Changes training images a little, anew in each epoch: a pure function of seed, epoch and row."""

from functools import partial
from typing import Any

import numpy as np

from services.training.engine.rows import Augment as AugmentRows
from shared.config.images import Augment

NumpyArray = np.ndarray[Any, Any]

_SHIFT_Y, _SHIFT_X, _FLIP, _CROP_Y, _CROP_X, _SIZE = range(6)
"""Numbers of the draws of a row."""


def augmentation(choices: Augment) -> AugmentRows | None:
    """What the engine applies to the images of a batch; None where nothing is to be changed."""
    return None if choices == Augment() else partial(_augment, choices)


def _augment(
    choices: Augment, inputs: dict[str, NumpyArray], rows: NumpyArray, seed: int, epoch: int
) -> dict[str, NumpyArray]:
    return {**inputs, "images": changed(inputs["images"], choices, rows, seed, epoch)}


def changed(
    images: NumpyArray, choices: Augment, rows: NumpyArray, seed: int, epoch: int
) -> NumpyArray:
    """The images as an epoch sees them: cropped and scaled back, moved, mirrored.

    What lies outside an image is zero.

    Args:
        images: uint8 [image, height, width, channel].
        choices: How much may change.
        rows: The number of each image, of which its changes are a function.
        seed: Of all randomness.
        epoch: From 0.
    """
    shift_y = _whole(choices.shift, uniform(rows, seed, epoch, _SHIFT_Y))
    shift_x = _whole(choices.shift, uniform(rows, seed, epoch, _SHIFT_X))
    mirrored = choices.flip & (uniform(rows, seed, epoch, _FLIP) < 0.5)
    if choices.crop == 1.0:
        return _cut(images, choices.shift, shift_y, shift_x, mirrored)
    height, width = images.shape[1:3]
    kept = 1.0 - (1.0 - choices.crop) * uniform(rows, seed, epoch, _SIZE)
    at_y = _places(height, kept, uniform(rows, seed, epoch, _CROP_Y)) + shift_y[:, None]
    at_x = _places(width, kept, uniform(rows, seed, epoch, _CROP_X)) + shift_x[:, None]
    at_x = np.where(mirrored[:, None], at_x[:, ::-1], at_x)
    return _blended(images, at_y, at_x)


def uniform(rows: NumpyArray, seed: int, epoch: int, draw: int) -> NumpyArray:
    """A number in [0, 1) for each row, by mixing its number with what else decides it."""
    state = _mixed(np.uint64(seed) + np.uint64(1))
    state = _mixed(state ^ np.uint64(epoch))
    state = _mixed(state ^ np.uint64(draw))
    mixed = _mixed(state ^ rows.astype(np.uint64))
    drawn: NumpyArray = (mixed >> np.uint64(11)) / 2.0**53
    return drawn


def _mixed(value: Any) -> Any:
    """One step of splitmix64 (Steele et al., 2014); overflow is meant."""
    with np.errstate(over="ignore"):
        value = value + np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _whole(most: int, draws: NumpyArray) -> NumpyArray:
    """A whole number from -most to most for each draw."""
    moved: NumpyArray = np.floor(draws * (2 * most + 1)).astype(np.int64) - most
    return moved


def _cut(
    images: NumpyArray, most: int, shift_y: NumpyArray, shift_x: NumpyArray, mirrored: NumpyArray
) -> NumpyArray:
    """Windows as large as the images, out of images with a margin of `most` zeros."""
    height, width = images.shape[1:3]
    wide = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    out = np.empty_like(images)
    # A loop over slices: each is a plain copy, which gathering pixel by pixel is not.
    places = zip((shift_y + most).tolist(), (shift_x + most).tolist(), mirrored, strict=True)
    for number, (y, x, is_mirrored) in enumerate(places):
        window = wide[number, y : y + height, x : x + width]
        out[number] = window[:, ::-1] if is_mirrored else window
    return out


def _places(size: int, kept: NumpyArray, draws: NumpyArray) -> NumpyArray:
    """Where each pixel of a side is taken from: [image, size], `kept` of it from a draw on."""
    first = (1.0 - kept) * draws * (size - 1)
    places: NumpyArray = first[:, None] + kept[:, None] * np.arange(size)
    return places


def _blended(images: NumpyArray, at_y: NumpyArray, at_x: NumpyArray) -> NumpyArray:
    """The values between pixels, by linear interpolation along each side."""
    count, height, width, channels = images.shape
    rows = _shares(at_y, height) @ images.reshape(count, height, -1).astype(np.float32)
    columns = rows.reshape(count, height, width, channels).transpose(0, 2, 1, 3)
    turned = _shares(at_x, width) @ columns.reshape(count, width, -1)
    values = turned.reshape(count, width, height, channels).transpose(0, 2, 1, 3)
    blended: NumpyArray = np.rint(values).clip(0, 255).astype(np.uint8)
    return blended


def _shares(places: NumpyArray, size: int) -> NumpyArray:
    """How much each pixel of a side counts at each place: [image, place, pixel]."""
    distance = np.abs(places.astype(np.float32)[:, :, None] - np.arange(size, dtype=np.float32))
    shares: NumpyArray = np.maximum(np.float32(0), np.float32(1) - distance)
    return shares
