"""Measures of classes by hand, and the baseline on pixels."""

import numpy as np
import pytest

from services.training.evaluation.pixels import pixel_regression, rows_fitted
from services.training.evaluation.probability import calibration_error
from services.training.runs.image_judge import confusion, judge_images
from tests.support import pictures


def test_the_calibration_error_is_the_mean_gap_between_sureness_and_hits():
    sure = np.array([0.9, 0.9, 0.9, 0.9, 0.6, 0.6])
    said = np.stack([sure, 1 - sure], axis=1)
    classes = np.array([0, 0, 0, 1, 0, 1])  # of the 0.9s three of four are right, of the 0.6s one
    metric = calibration_error(classes, said, bins=10)
    assert metric(np.ones(6)) == pytest.approx((4 * 0.15 + 2 * 0.1) / 6)
    assert metric(np.array([0, 0, 0, 0, 1.0, 0])) == pytest.approx(0.4)
    assert np.isnan(metric(np.zeros(6)))


def test_a_model_that_is_always_right_and_sure_has_nothing_to_mend():
    said = {"model": np.eye(3)[[0, 1, 2, 2]]}
    found = judge_images(said, np.array([0, 1, 2, 2]), ["a", "b", "c"], samples=10, seed=0)
    values = {name: each["value"] for name, each in found["metrics"]["model"].items()}
    assert values == {"accuracy": 1, "macro_f1": 1, "log_loss": 0, "calibration_error": 0}
    assert found["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 0, 2]]


def test_a_class_without_test_images_has_no_recall():
    said = {"model": np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1]])}
    found = judge_images(said, np.array([0, 1]), ["a", "b", "c"], samples=10, seed=0)
    assert found["recall"]["a"] == {"value": 1.0, "se": 0.0, "count": 1}
    assert found["recall"]["b"]["value"] == 0.0
    assert found["recall"]["c"] == {"value": None, "se": None, "count": 0}


def test_confusion_has_a_row_for_what_was_and_a_column_for_what_was_told():
    assert confusion(np.array([0, 0, 0, 1]), np.array([0, 1, 1, 0]), 3) == [
        [1, 2, 0],
        [1, 0, 0],
        [0, 0, 0],
    ]


def test_the_baseline_learns_pixels_and_gives_nothing_to_a_class_it_never_met():
    images, labels = pictures.drawn(300)
    valid, test = pictures.drawn(60, seed=1), pictures.drawn(60, seed=2)
    said = pixel_regression((images, labels), valid, test[0], class_count=4)
    np.testing.assert_allclose(said.sum(axis=1), 1.0, rtol=1e-6)
    assert (said[:, 3] == 0).all()
    assert (said.argmax(axis=1) == test[1]).mean() > 0.9


def test_large_images_leave_fewer_rows_to_the_baseline():
    assert rows_fitted(np.zeros((100, 8, 8, 1), np.uint8)) == 100
    assert rows_fitted(np.broadcast_to(np.uint8(0), (9000, 28, 28, 1))) == 5000
    assert rows_fitted(np.broadcast_to(np.uint8(0), (9000, 400, 400, 4))) == 100
