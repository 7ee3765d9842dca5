import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.runs.augmentation import augmentation, changed, uniform
from shared.config.images import Augment

ROWS = np.arange(40)
IMAGES = np.random.default_rng(0).integers(1, 256, (40, 8, 10, 3), dtype=np.uint8)
ALL = Augment(shift=2, flip=True, crop=0.7)


def test_nothing_asked_for_is_nothing_done():
    assert augmentation(Augment()) is None
    np.testing.assert_array_equal(changed(IMAGES, Augment(), ROWS, 1, 2), IMAGES)


@given(st.permutations(range(40)), st.integers(0, 2**31 - 1), st.integers(0, 500))
def test_an_image_changes_alike_whatever_batch_it_is_in(order, seed, epoch):
    whole = changed(IMAGES, ALL, ROWS, seed, epoch)
    some = np.array(order[:7])
    np.testing.assert_array_equal(changed(IMAGES[some], ALL, some, seed, epoch), whole[some])


def test_another_epoch_or_seed_changes_images_otherwise():
    one = changed(IMAGES, ALL, ROWS, 1, 0)
    assert (one != changed(IMAGES, ALL, ROWS, 1, 1)).any()
    assert (one != changed(IMAGES, ALL, ROWS, 2, 0)).any()


@pytest.mark.parametrize("choices", [Augment(shift=3), Augment(flip=True), Augment(crop=0.5), ALL])
def test_shape_and_type_stay(choices):
    after = changed(IMAGES, choices, ROWS, 0, 0)
    assert (after.shape, after.dtype) == (IMAGES.shape, np.uint8)


def test_a_flipped_image_is_its_mirror_and_about_half_are():
    count = 1000
    images = np.tile(IMAGES[:1], (count, 1, 1, 1))
    after = changed(images, Augment(flip=True), np.arange(count), 3, 0)
    is_mirror = (after == images[:, :, ::-1]).all((1, 2, 3))
    assert (is_mirror | (after == images).all((1, 2, 3))).all()
    assert 430 < is_mirror.sum() < 570


def test_a_shifted_image_is_moved_by_whole_pixels_and_zero_comes_in():
    seen = set()
    for epoch in range(40):
        after = changed(IMAGES[:1], Augment(shift=1), ROWS[:1], 5, epoch)[0]
        padded = np.pad(IMAGES[0], ((1, 1), (1, 1), (0, 0)))
        places = [
            (y, x)
            for y in range(3)
            for x in range(3)
            if (padded[y : y + 8, x : x + 10] == after).all()
        ]
        assert len(places) == 1
        seen.update(places)
    assert seen == {(y, x) for y in range(3) for x in range(3)}


def test_a_crop_of_a_ramp_is_a_flatter_ramp_within_it():
    ramp = np.tile(np.arange(0, 200, 10, dtype=np.uint8)[None, None, :, None], (1, 20, 1, 1))
    for epoch in range(20):
        line = changed(ramp, Augment(crop=0.5), ROWS[:1], 0, epoch)[0, 0, :, 0].astype(int)
        steps = np.diff(line)
        assert (steps >= 4).all()
        assert (steps <= 10).all()
        assert 0 <= line[0] <= line[-1] <= 190


def test_draws_are_even_and_independent():
    rows = np.arange(100_000)
    one, other = uniform(rows, 1, 0, 0), uniform(rows, 1, 0, 1)
    assert ((one >= 0) & (one < 1)).all()
    assert np.abs(np.histogram(one, 10, (0, 1))[0] - 10_000).max() < 500
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.02
    assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.02
