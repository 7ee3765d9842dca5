"""MNIST made larger by shifts."""

import numpy as np

from benchmarks.distributed_images import enough
from services.training.engine import Arrays


def rows(count: int) -> Arrays:
    shown = np.zeros((count, 8, 8, 1), np.uint8)
    shown[:, 3:5, 3:5] = np.arange(1, count + 1, dtype=np.uint8)[:, None, None, None]
    return Arrays({"images": shown}, {"kind": np.arange(count, dtype=np.int32)})


def test_fewer_images_are_the_first_ones_unchanged():
    given = rows(5)
    taken = enough(given, 3)
    np.testing.assert_array_equal(taken.inputs["images"], given.inputs["images"][:3])
    assert taken.targets["kind"].tolist() == [0, 1, 2]


def test_more_images_are_the_same_ones_shifted_by_at_most_two_pixels():
    given = rows(4)
    taken = enough(given, 40)
    shown, kinds = taken.inputs["images"], taken.targets["kind"]
    np.testing.assert_array_equal(shown[:4], given.inputs["images"])
    places = set()
    for image, kind in zip(shown, kinds, strict=True):
        lit = np.argwhere(image[..., 0])
        assert len(lit) == 4
        assert set(image[image > 0].tolist()) == {kind + 1}
        assert np.abs(lit[0] - 3).max() <= 2
        places.add(tuple(lit[0]))
    assert len(places) > 10
