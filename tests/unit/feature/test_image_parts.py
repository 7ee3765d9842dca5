import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.feature.domain.image_parts import fingerprints, parts_of
from shared.dataset.images import PARTS

TRAIN, VALIDATION, TEST = range(len(PARTS))


def drawn(count, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, 4, 4, 1), dtype=np.uint8)
    return images, np.arange(count) % classes


def test_without_test_files_a_sixth_of_each_class_judges_and_a_tenth_of_the_rest_stops():
    images, labels = drawn(360)
    parts = parts_of(fingerprints(images), labels, np.zeros(360, bool))
    for label in range(3):
        counts = np.bincount(parts[labels == label], minlength=3)
        assert counts.tolist() == [90, 10, 20]


def test_images_of_test_files_judge_and_no_other():
    images, labels = drawn(200, classes=2)
    is_test = np.arange(200) >= 150
    parts = parts_of(fingerprints(images), labels, is_test)
    assert ((parts == TEST) == is_test).all()
    assert (parts == VALIDATION).sum() == 16  # round(0.1 * 75) of each class


@given(st.integers(0, 1000))
def test_the_order_of_images_does_not_change_their_parts(seed):
    images, labels = drawn(60)
    shuffle = np.random.default_rng(seed).permutation(60)
    none = np.zeros(60, bool)
    parts = parts_of(fingerprints(images), labels, none)
    shuffled = parts_of(fingerprints(images[shuffle]), labels[shuffle], none)
    assert (parts[shuffle] == shuffled).all()


def test_images_that_show_the_same_are_in_the_same_part():
    images, _ = drawn(40)
    parts = parts_of(
        fingerprints(np.repeat(images, 3, axis=0)), np.zeros(120, int), np.zeros(120, bool)
    ).reshape(40, 3)
    assert (parts == parts[:, :1]).all()


def test_a_class_of_one_image_is_fitted_on():
    images, _ = drawn(1)
    assert parts_of(fingerprints(images), np.zeros(1, int), np.zeros(1, bool)).tolist() == [TRAIN]
